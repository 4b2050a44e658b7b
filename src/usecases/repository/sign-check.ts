import type { PortolanError } from '../../core/errors.ts';
import type { SigningKey } from '../../formats/sigstore/cosign-key.ts';
import type { CheckedSnapshot } from './check-contents.ts';
import type { OpenedRepository } from './open.ts';
import { putVerification } from './put-verification.ts';

export interface SignedCheck {
  readonly signer: SigningKey;
  readonly readPercent: number;
  readonly program: string;
}

/**
 * Writes what a verifier found of the snapshots that it opened. Good is signed only when nothing at all was wrong: a retention
 * schedule relies on it.
 *
 * @returns WRITER/SEQUENCE of those that were signed
 * @throws UseCaseError ROLE_MISSING
 */
export async function signCheck(
  repository: OpenedRepository,
  snapshots: readonly CheckedSnapshot[],
  problems: readonly PortolanError[],
  { signer, readPercent, program }: SignedCheck,
  options: { readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const signed: string[] = [];
  for (const snapshot of snapshots) {
    const { problem } = snapshot;
    if (problem === undefined && problems.length > 0) continue;
    const found = problem === undefined ? ({ result: 'good', findings: [] } as const) : badWith(problem);
    await putVerification(
      repository,
      snapshot,
      { kind: 'check', readPercent, indexes: false, program, ...found },
      signer,
      options,
    );
    signed.push(`${snapshot.writer}/${snapshot.sequence}`);
  }
  return signed;
}

function badWith({ code }: PortolanError): { readonly result: 'bad'; readonly findings: readonly string[] } {
  return { result: 'bad', findings: [code] };
}
