import { browse } from './openid-provider/person.ts';

await browse(process.argv[2] ?? '', {
  leave: true,
  caFile: undefined,
  fields: { login: process.env.LOGIN_AS ?? '' },
});
