import fc from 'fast-check';

// The quick suites draw the values of properties from one fixed seed: a change must not fail for a counterexample that it
// did not bring. The soak suite, and a run with PORTOLAN_SEED set, draw from the seed that was printed.
const { PORTOLAN_PROPERTY_SEED, PORTOLAN_SEED } = process.env;
fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(PORTOLAN_PROPERTY_SEED ?? PORTOLAN_SEED) });
