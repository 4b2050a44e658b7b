/** A worker that ends in the middle of a seal, its file half-written. */
import { writeFileSync } from 'node:fs';
import type { SealingRequest } from '../../../../src/adapters/sealing/requests.ts';
import { serveJobs } from '../../../../src/core/worker-pool.ts';

serveJobs<SealingRequest, undefined>((request, control) => {
  if (request.kind !== 'seal') return undefined;
  writeFileSync(request.job.outPath, 'half');
  if (request.job.plaintextBytes > 0) control.claim();
  return process.exit(1);
}, String);
