import { sealBytes } from '../../formats/age/sealed-bytes.ts';
import type { InstalledRelease } from '../../formats/target/installed.ts';
import { RECEIPT_MEDIA_TYPE, signReceipt } from '../../formats/target/receipt.ts';
import type { TargetSurvey } from '../../ports/image-target.ts';
import { targetKey } from '../installed/installed-state.ts';
import { type MigrationReport, migrationPath } from '../migrate/types.ts';
import type { PreparedImport } from './prepare.ts';
import type { ImportDependencies } from './types.ts';

interface ReceiptMatter {
  readonly prepared: PreparedImport;
  readonly applied: InstalledRelease;
  readonly report: MigrationReport | undefined;
  /** What the content store was seen to hold when all was done. */
  readonly survey: TargetSurvey | undefined;
}

/** Signs what the target holds now, and seals it to whom the bundle names. */
export async function makeReceipt(
  { prepared, applied, report, survey }: ReceiptMatter,
  { state, images }: ImportDependencies,
  options: { readonly signal?: AbortSignal },
): Promise<{ readonly receipt: Uint8Array; readonly receiptSealed: boolean }> {
  const { contents, root } = prepared.source.lists;
  const key = await targetKey(state, options);
  const held = new Set(prepared.images.flatMap(({ blobs }) => blobs.map(({ digest }) => digest)));
  const signed = signReceipt(
    {
      mediaType: RECEIPT_MEDIA_TYPE,
      target: { place: state.place, publicKey: key.publicKey.export({ type: 'spki', format: 'pem' }).toString() },
      at: applied.at,
      bundle: { name: contents.name, version: contents.version, sequence: contents.sequence, root },
      features: contents.features,
      charts: applied.charts.map(({ release, namespace, revision, chart }) => ({
        release,
        namespace,
        revision,
        chart,
      })),
      ...(survey === undefined || images === undefined
        ? {}
        : {
            images: {
              target: images.name,
              references: applied.images.map((image) => ({ ...image })),
              blobs: [...held].filter((digest) => survey.blobs.has(digest)).sort(),
            },
          }),
      ...(report === undefined
        ? {}
        : {
            migrations: {
              applied: report.applied.map(migrationPath),
              deferred: report.deferred.map(migrationPath),
            },
          }),
      ...(applied.restored === undefined
        ? {}
        : {
            restored: {
              ...applied.restored,
              databases: (prepared.plan.databases?.databases ?? []).map(({ name }) => name),
            },
          }),
    },
    key,
  );
  const recipients = contents.receipt?.recipients ?? [];
  if (recipients.length === 0) return { receipt: signed, receiptSealed: false };
  return { receipt: await sealBytes(signed, recipients), receiptSealed: true };
}
