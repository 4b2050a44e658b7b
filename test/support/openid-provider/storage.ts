import type { Adapter, AdapterPayload } from 'oidc-provider';

/** What the provider keeps of logins: sessions, codes, grants. In memory, and for one provider. */
export function createStorage(): (kind: string) => Adapter {
  const kept = new Map<string, { readonly kind: string; readonly id: string; readonly payload: AdapterPayload }>();
  return (kind) => {
    const find = (isIt: (payload: AdapterPayload) => boolean) =>
      [...kept.values()].find((one) => one.kind === kind && isIt(one.payload))?.payload;
    return {
      async upsert(id, payload) {
        kept.set(`${kind}:${id}`, { kind, id, payload });
      },
      find: async (id) => kept.get(`${kind}:${id}`)?.payload,
      findByUid: async (uid) => find((payload) => payload.uid === uid),
      findByUserCode: async (code) => find((payload) => payload.userCode === code),
      async consume(id) {
        const one = kept.get(`${kind}:${id}`);
        if (one !== undefined) one.payload.consumed = Math.floor(Date.now() / 1000);
      },
      async destroy(id) {
        kept.delete(`${kind}:${id}`);
      },
      async revokeByGrantId(grant) {
        for (const [key, { payload }] of kept) if (payload.grantId === grant) kept.delete(key);
      },
    };
  };
}
