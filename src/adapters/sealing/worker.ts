/** The worker thread of the sealing engine. It imports no age library: headers are the main thread's work. */
import { type JobControl, serveJobs } from '../../core/worker-pool.ts';
import { type BatchBuffers, createBatchBuffers } from './batches.ts';
import { digest } from './digest-job.ts';
import { encodeFailure } from './failure.ts';
import { open } from './open-job.ts';
import type { SealingReply, SealingRequest } from './requests.ts';
import { openRuns } from './runs-job.ts';
import { seal } from './seal-job.ts';

const buffers = createBatchBuffers();
serveJobs<SealingRequest, SealingReply>((request, control) => handle(request, buffers, control), encodeFailure);

function handle(request: SealingRequest, buffers: BatchBuffers, control: JobControl): SealingReply {
  switch (request.kind) {
    case 'seal':
      return seal(request, buffers, control);
    case 'digest':
      return digest(request.job, buffers, control);
    case 'open':
      return void open(request, buffers, control);
    case 'runs':
      return openRuns(request, buffers, control);
  }
}
