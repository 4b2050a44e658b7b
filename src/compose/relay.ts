export { relay as composeRelay } from '../adapters/relay/relay.ts';
