/**
 * What `portolan audit list --json` prints: one event a line, of which those called `record` have the signed record itself in
 * `envelope`. Digests are of its canonical JSON, so that it may be laid out in any way on its way.
 */
import { z } from 'zod';
import { canonicalJson } from '../../core/canonical-json.ts';
import { FormatError } from '../errors.ts';
import type { JournalDocument } from './journal.ts';

/** Of some hundred thousand records. */
export const EXPORTED_MAX_BYTES = 512 * 1024 * 1024;

const eventSchema = z.looseObject({ event: z.string(), envelope: z.looseObject({}).optional() });

/** The records in their order. @throws FormatError AUDIT_EXPORT_INVALID */
export function decodeExported(bytes: Uint8Array, file: string): JournalDocument[] {
  const documents: JournalDocument[] = [];
  for (const [index, line] of new TextDecoder().decode(bytes).split('\n').entries()) {
    if (line.trim() === '') continue;
    const event = eventOf(line);
    if (event === undefined) throw invalid(file, index + 1);
    if (event.event !== 'record') continue;
    if (event.envelope === undefined) throw invalid(file, index + 1);
    const envelope = new TextEncoder().encode(canonicalJson(event.envelope));
    documents.push({ bytes: envelope, at: `${file}, line ${index + 1}` });
  }
  return documents;
}

/** For `portolan audit list --json`. */
export function envelopeOf(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(bytes));
}

function eventOf(line: string): z.infer<typeof eventSchema> | undefined {
  try {
    return eventSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

function invalid(file: string, line: number): FormatError {
  return new FormatError('AUDIT_EXPORT_INVALID', 'the file holds no records of an audit journal', {
    expected: 'what `portolan audit list --json` prints',
    at: { file, line },
    hint: 'Give the whole output of `portolan audit list --json`.',
  });
}
