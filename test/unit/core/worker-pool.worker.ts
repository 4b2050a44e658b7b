/** The worker of the worker pool's tests: answers, fails, dies or runs for ever, as it is told. */
import { threadId } from 'node:worker_threads';
import { JobAborted, serveJobs } from '../../../src/core/worker-pool.ts';

export interface TestRequest {
  readonly act: 'answer' | 'thread' | 'fail' | 'exit' | 'claim-and-exit' | 'crash' | 'loop';
  readonly value: number;
}

serveJobs<TestRequest, number>((request, control) => {
  switch (request.act) {
    case 'answer':
      return request.value;
    case 'thread':
      return threadId;
    case 'fail':
      throw new Error('as told');
    case 'claim-and-exit':
      control.claim();
      return process.exit(3);
    case 'exit':
      return process.exit(3);
    case 'crash':
      throw new Error('crash');
    case 'loop':
      for (;;) {
        if (control.aborted()) throw new JobAborted();
        control.advance(1024 * 1024);
      }
  }
}, encodeFailure);

/** What is thrown here nobody catches: the thread ends with an uncaught error. */
function encodeFailure(error: unknown): unknown {
  if (error instanceof Error && error.message === 'crash') throw error;
  return String(error);
}
