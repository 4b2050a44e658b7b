import fc from 'fast-check';

// Properties draw their values from the seed that the run printed, so that PORTOLAN_SEED repeats a failure.
fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(process.env.PORTOLAN_SEED) });
