import { describe, expect, test } from 'vitest';
import type { WriterName } from '../../../../src/formats/repository/keys.ts';
import { encodeGauges } from '../../../../src/formats/telemetry/prometheus-text.ts';
import {
  type RepositoryMetrics,
  repositoryGauges,
  unreadableText,
  type WriterMetrics,
} from '../../../../src/formats/telemetry/repository-metrics.ts';

const FINE = { isReachable: true, isBroken: false };
const UNREACHABLE = { isReachable: false, isBroken: false };
const BROKEN = { isReachable: true, isBroken: true };
const READ = new Date('2026-11-29T02:00:00.000Z');

const writer: WriterMetrics = {
  ...{ writer: 'db-1' as WriterName, active: true, snapshots: 0, bad: 0, verifications: {} },
  holds: { 'more-than-scheduled': false, 'clocks-disagree': false, collapsed: false },
};
const newest: NonNullable<WriterMetrics['newest']> = {
  ...{ time: new Date('2026-11-29T01:00:00.500Z'), durationMs: 1500, storedBytes: 700, addedBytes: 70 },
  ...{ collapsed: false, full: false },
};
const metricsOf = (change: Partial<WriterMetrics> = {}): RepositoryMetrics => ({
  ...{ writers: [{ ...writer, ...change }], problems: 0, epoch: 3, readAt: READ },
});

function linesOf(metrics: RepositoryMetrics | undefined, last = FINE): string[] {
  const lines = encodeGauges(repositoryGauges(metrics, last)).split('\n');
  return lines.filter((line) => line !== '' && !line.startsWith('#'));
}

describe('what a monitor is told', () => {
  test('of a writer whose newest snapshot was verified, and whose identity provider answered', () => {
    const lines = linesOf(
      metricsOf({
        ...{ snapshots: 2, newest: { ...newest, answer: 'overruled' }, verified: new Date(1000), bad: 1 },
        ...{ answered: new Date(2000), verifications: { drill: new Date(3000) } },
        holds: { ...writer.holds, collapsed: true },
      }),
    );
    expect(lines).toEqual([
      'portolan_repository_reachable 1',
      'portolan_metrics_read_timestamp_seconds 1795917600',
      'portolan_repository_problems 0',
      'portolan_roster_epoch 3',
      'portolan_writer_active{writer="db-1"} 1',
      'portolan_snapshots{writer="db-1"} 2',
      'portolan_snapshot_newest_timestamp_seconds{writer="db-1"} 1795914000.5',
      'portolan_snapshot_duration_seconds{writer="db-1"} 1.5',
      'portolan_snapshot_stored_bytes{writer="db-1"} 700',
      'portolan_snapshot_added_bytes{writer="db-1"} 70',
      'portolan_snapshot_collapsed{writer="db-1"} 0',
      'portolan_snapshot_full{writer="db-1"} 0',
      'portolan_snapshot_verified_timestamp_seconds{writer="db-1"} 1',
      'portolan_snapshots_bad{writer="db-1"} 1',
      'portolan_verification_timestamp_seconds{writer="db-1",kind="drill"} 3',
      'portolan_snapshot_identity_provider{writer="db-1",answer="answered"} 0',
      'portolan_snapshot_identity_provider{writer="db-1",answer="overruled"} 1',
      'portolan_snapshot_identity_provider{writer="db-1",answer="unreachable"} 0',
      'portolan_snapshot_identity_provider{writer="db-1",answer="refused"} 0',
      'portolan_identity_provider_answered_timestamp_seconds{writer="db-1"} 2',
      'portolan_chain_held{writer="db-1",reason="more-than-scheduled"} 0',
      'portolan_chain_held{writer="db-1",reason="clocks-disagree"} 0',
      'portolan_chain_held{writer="db-1",reason="collapsed"} 1',
    ]);
  });

  test('a writer without a snapshot is infinitely late, and one that nobody verifies is not unverified', () => {
    const lines = linesOf(metricsOf({ active: false }));
    expect(lines).toContain('portolan_snapshot_newest_timestamp_seconds{writer="db-1"} 0');
    expect(lines).toContain('portolan_writer_active{writer="db-1"} 0');
    const absent = /verified_timestamp|stored_bytes|identity_provider|verification_timestamp/;
    expect(lines.filter((line) => absent.test(line))).toEqual([]);
    const never = linesOf(metricsOf({ verified: 'never', answered: 'never' }));
    expect(never).toContain('portolan_snapshot_verified_timestamp_seconds{writer="db-1"} 0');
    expect(never).toContain('portolan_identity_provider_answered_timestamp_seconds{writer="db-1"} 0');
  });

  test('when nothing could be read yet, that alone is told', () => {
    expect(linesOf(undefined, UNREACHABLE)).toEqual(['portolan_repository_reachable 0']);
    expect(linesOf(undefined, BROKEN)).toEqual(['portolan_repository_reachable 1', 'portolan_repository_problems 1']);
  });

  test('when a later reading fails, the values and their time stay', () => {
    const before = linesOf(metricsOf({ newest }));
    const differing = (lines: readonly string[]) => lines.filter((line) => !before.includes(line));
    expect(differing(linesOf(metricsOf({ newest }), UNREACHABLE))).toEqual(['portolan_repository_reachable 0']);
    expect(differing(linesOf(metricsOf({ newest }), BROKEN))).toEqual(['portolan_repository_problems 1']);
  });
});

describe('a file of an earlier reading', () => {
  const text = encodeGauges(repositoryGauges(metricsOf({ newest }), FINE));
  const later = (last: typeof FINE) => encodeGauges(repositoryGauges(metricsOf({ newest }), last));

  test('becomes what a server would tell', () => {
    expect(unreadableText(text, UNREACHABLE)).toBe(later(UNREACHABLE));
    expect(unreadableText(text, BROKEN)).toBe(later(BROKEN));
    expect(unreadableText(later(UNREACHABLE), BROKEN)).toBe(later(BROKEN));
  });

  test('is not kept when it is something else', () => {
    for (const other of ['', 'up 1\n', '# portolan_repository_reachable 1\n', 'portolan_repository_reachable x\n']) {
      expect(unreadableText(other, UNREACHABLE)).toBeUndefined();
    }
  });
});
