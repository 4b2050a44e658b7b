import type { Recipe } from './image.ts';
import { pause } from './recipes/pause.ts';
import { drill, portolan } from './recipes/portolan.ts';
import { postgres } from './recipes/postgres.ts';
import { blog, shop, web } from './recipes/web.ts';

/** By the name that `scripts/image` takes. */
export const recipes: Readonly<Record<string, Recipe>> = {
  pause,
  postgres,
  web,
  blog,
  shop,
  portolan,
  'portolan-drill': drill,
};
