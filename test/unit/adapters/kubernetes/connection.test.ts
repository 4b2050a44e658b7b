import { describe, expect, it } from 'vitest';
import { AdapterError } from '../../../../src/adapters/errors.ts';
import { proxyFor } from '../../../../src/adapters/kubernetes/connection.ts';

const PROXY = 'http://proxy.example:3128';

describe('proxyFor', () => {
  it.each([
    ['https://10.1.2.3:6443', '', PROXY],
    ['https://10.1.2.3:6443', '10.0.0.0/8', undefined],
    ['https://11.1.2.3:6443', '10.0.0.0/8', PROXY],
    ['https://10.1.2.3:6443', '10.1.2.3', undefined],
    ['https://10.1.2.3:6443', '10.1.2.3:6443', undefined],
    ['https://10.1.2.3:6443', '10.1.2.3:443', PROXY],
    ['https://api.cluster.example', 'cluster.example', undefined],
    ['https://api.cluster.example', '.cluster.example', undefined],
    ['https://api.cluster.example', '*.cluster.example', undefined],
    ['https://cluster.example', '.cluster.example', PROXY],
    ['https://mycluster.example', 'cluster.example', PROXY],
    ['https://api.cluster.example', 'a, *', undefined],
    ['https://[fd00::1]:6443', 'fd00::/8', undefined],
    ['https://[fd00::1]:6443', 'fd00::1', undefined],
    ['https://[fd00::1]:6443', 'fe80::/10', PROXY],
    ['https://127.0.0.1:6443', '', undefined],
    ['https://localhost:6443', '', undefined],
    ['https://[::1]:6443', '', undefined],
    ['http://10.1.2.3:8080', '', undefined],
  ])('%s with NO_PROXY=%s', (server, noProxy, expected) => {
    expect(proxyFor(new URL(server), { httpsProxy: PROXY, noProxy })).toBe(expected);
  });

  it('reads a proxy without a scheme, and refuses one that speaks no HTTP without repeating its password', () => {
    const server = new URL('https://10.1.2.3');
    expect(proxyFor(server, { httpsProxy: 'proxy:3128' })).toBe('http://proxy:3128');
    const act = () => proxyFor(server, { httpsProxy: 'socks5://ann:password@proxy' });
    expect(act).toThrow(AdapterError);
    expect(act).not.toThrow(/password/);
  });
});
