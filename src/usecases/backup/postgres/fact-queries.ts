/** What is known of a database, by the catalogues of PostgreSQL 14 to 18. */
import { memberOfExtension, USER_SCHEMA } from './tables.ts';

/** A query that gives one row for each fact: `name` and `value` as JSON. */
export interface FactQuery {
  readonly kind: string;
  /** What the first parts of the name are: facts of what is left out are left out. */
  readonly within: 'database' | 'schema' | 'table';
  readonly sql: string;
}

const owner = (column: string) => `pg_catalog.pg_get_userbyid(${column})`;

const exploded = (acl: string) => `(
  select coalesce(pg_catalog.array_agg(distinct
    (case e.grantee when 0 then '' else pg_catalog.pg_get_userbyid(e.grantee)::text end || '=' || e.privilege_type
      || case when e.is_grantable then '*' else '' end) collate pg_catalog."C"
    order by (case e.grantee when 0 then '' else pg_catalog.pg_get_userbyid(e.grantee)::text end || '=' || e.privilege_type
      || case when e.is_grantable then '*' else '' end) collate pg_catalog."C"), '{}')
  from pg_catalog.aclexplode(${acl}) e)`;

/** Rights as sorted `ROLE=RIGHT` (nobody's name: everybody; `*`: may be passed on), or null where they are what they begin with. */
export const rights = (acl: string, kind: string, ownerColumn: string) => `(
  select pg_catalog.to_json(nullif(x.own, x.initial)) from (
    select ${exploded(acl)} as own, ${exploded(`pg_catalog.acldefault('${kind}', ${ownerColumn})`)} as initial) x
  where ${acl} is not null)`;

function query(
  kind: string,
  within: FactQuery['within'],
  parts: {
    readonly name: string;
    readonly value: Readonly<Record<string, string>>;
    readonly from: string;
    readonly where?: string;
  },
): FactQuery {
  const members = Object.entries(parts.value).map(([key, sql]) => `'${key}', ${sql}`);
  return {
    kind,
    within,
    sql: `select pg_catalog.json_build_array(${parts.name})::text as name,
       pg_catalog.json_build_object(${members.join(', ')})::text as value
     from ${parts.from}${parts.where === undefined ? '' : ` where ${parts.where}`}`,
  };
}

const IN_SCHEMA = (column: string) => `join pg_catalog.pg_namespace n on n.oid = ${column}`;
const OF_TABLE = (column: string) =>
  `join pg_catalog.pg_class c on c.oid = ${column} join pg_catalog.pg_namespace n on n.oid = c.relnamespace`;
const USER_TABLE = `c.relpersistence <> 't' and ${USER_SCHEMA} and not ${memberOfExtension('pg_class', 'c.oid')}`;

const sorted = (sql: string) =>
  `coalesce((select pg_catalog.json_agg(x order by x) from pg_catalog.unnest(${sql}) x), '[]')`;

/** An object that has a name in a schema and an owner, and no more that matters. */
function owned(kind: string, catalogue: string, prefix: string, name = `t.${prefix}name`): FactQuery {
  return query(kind, 'schema', {
    name: `n.nspname, ${name}`,
    value: { owner: owner(`t.${prefix}owner`) },
    from: `pg_catalog.${catalogue} t ${IN_SCHEMA(`t.${prefix}namespace`)}`,
    where: `${USER_SCHEMA} and not ${memberOfExtension(catalogue, 't.oid')}`,
  });
}

export const DATABASE_FACTS: readonly FactQuery[] = [
  query('database', 'database', {
    name: '',
    value: {
      owner: owner('d.datdba'),
      rights: rights('d.datacl', 'd', 'd.datdba'),
      encoding: 'pg_catalog.pg_encoding_to_char(d.encoding)',
      collate: 'd.datcollate',
      characterType: 'd.datctype',
      connectionLimit: 'd.datconnlimit',
      isTemplate: 'd.datistemplate',
      settings: `coalesce((select pg_catalog.to_json(s.setconfig) from pg_catalog.pg_db_role_setting s
        where s.setdatabase = d.oid and s.setrole = 0), '[]')`,
    },
    from: 'pg_catalog.pg_database d',
    where: 'd.datname = pg_catalog.current_database()',
  }),
  query('database-role-setting', 'database', {
    name: owner('s.setrole'),
    value: { settings: 'pg_catalog.to_json(s.setconfig)' },
    from: 'pg_catalog.pg_db_role_setting s join pg_catalog.pg_database d on d.oid = s.setdatabase',
    where: 'd.datname = pg_catalog.current_database() and s.setrole <> 0',
  }),
  query('extension', 'database', {
    name: 'e.extname',
    value: { version: 'e.extversion', schema: 'n.nspname' },
    from: `pg_catalog.pg_extension e ${IN_SCHEMA('e.extnamespace')}`,
  }),
  query('schema', 'schema', {
    name: 'n.nspname',
    value: { owner: owner('n.nspowner'), rights: rights('n.nspacl', 'n', 'n.nspowner') },
    from: 'pg_catalog.pg_namespace n',
    where: `${USER_SCHEMA} and not ${memberOfExtension('pg_namespace', 'n.oid')}`,
  }),
  query('relation', 'table', {
    name: 'n.nspname, c.relname',
    value: {
      kind: 'c.relkind',
      persistence: 'c.relpersistence',
      owner: owner('c.relowner'),
      rights: rights('c.relacl', 'r', 'c.relowner'),
      hasRowSecurity: 'c.relrowsecurity',
      forcesRowSecurity: 'c.relforcerowsecurity',
      isPopulated: 'c.relispopulated',
      replicaIdentity: 'c.relreplident',
      options: sorted('c.reloptions'),
      bound: `pg_catalog.pg_get_expr(c.relpartbound, c.oid)`,
      parents: `coalesce((select pg_catalog.json_agg(pg_catalog.json_build_array(pn.nspname, pc.relname) order by i.inhseqno)
        from pg_catalog.pg_inherits i join pg_catalog.pg_class pc on pc.oid = i.inhparent
        join pg_catalog.pg_namespace pn on pn.oid = pc.relnamespace where i.inhrelid = c.oid), '[]')`,
      columns: `coalesce((select pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname,
          'type', pg_catalog.format_type(a.atttypid, a.atttypmod), 'isRequired', a.attnotnull,
          'generated', a.attgenerated, 'identity', a.attidentity, 'hasDefault', a.atthasdef,
          'rights', ${rights('a.attacl', 'c', 'c.relowner')}) order by a.attnum)
        from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '[]')`,
    },
    from: `pg_catalog.pg_class c ${IN_SCHEMA('c.relnamespace')}`,
    where: `c.relkind in ('r', 'p', 'v', 'm', 'f') and ${USER_TABLE}`,
  }),
  query('policy', 'table', {
    name: 'n.nspname, c.relname, p.polname',
    value: {
      command: 'p.polcmd',
      isPermissive: 'p.polpermissive',
      roles: `(select pg_catalog.json_agg(r order by r) from (select case x when 0 then 'public' else ${owner('x')}::text end as r
        from pg_catalog.unnest(p.polroles) x) y)`,
      using: 'pg_catalog.pg_get_expr(p.polqual, p.polrelid)',
      check: 'pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)',
    },
    from: `pg_catalog.pg_policy p ${OF_TABLE('p.polrelid')}`,
    where: USER_TABLE,
  }),
  query('trigger', 'table', {
    name: 'n.nspname, c.relname, t.tgname',
    value: {
      enabled: 't.tgenabled',
      function: `(select pg_catalog.json_build_array(fn.nspname, f.proname) from pg_catalog.pg_proc f
        join pg_catalog.pg_namespace fn on fn.oid = f.pronamespace where f.oid = t.tgfoid)`,
    },
    from: `pg_catalog.pg_trigger t ${OF_TABLE('t.tgrelid')}`,
    where: `not t.tgisinternal and ${USER_TABLE}`,
  }),
  query('rule', 'table', {
    name: 'n.nspname, c.relname, r.rulename',
    value: { enabled: 'r.ev_enabled', isInstead: 'r.is_instead' },
    from: `pg_catalog.pg_rewrite r ${OF_TABLE('r.ev_class')}`,
    where: `r.rulename <> '_RETURN' and ${USER_TABLE}`,
  }),
  // Not those of NOT NULL, which have names since 18.
  query('constraint', 'table', {
    name: 'n.nspname, c.relname, k.conname',
    value: {
      type: 'k.contype',
      isValidated: 'k.convalidated',
      isDeferrable: 'k.condeferrable',
      isDeferred: 'k.condeferred',
    },
    from: `pg_catalog.pg_constraint k ${OF_TABLE('k.conrelid')}`,
    where: `k.contype <> 'n' and ${USER_TABLE}`,
  }),
  query('index', 'table', {
    name: 'n.nspname, c.relname, x.relname',
    value: { isUnique: 'i.indisunique', isPrimary: 'i.indisprimary', isValid: 'i.indisvalid' },
    from: `pg_catalog.pg_index i join pg_catalog.pg_class x on x.oid = i.indexrelid ${OF_TABLE('i.indrelid')}`,
    where: USER_TABLE,
  }),
  query('function', 'schema', {
    name: 'n.nspname, f.proname, pg_catalog.pg_get_function_identity_arguments(f.oid)',
    value: {
      kind: 'f.prokind',
      owner: owner('f.proowner'),
      rights: rights('f.proacl', 'f', 'f.proowner'),
      language: 'l.lanname',
      isSecurityDefiner: 'f.prosecdef',
      settings: sorted('f.proconfig'),
    },
    from: `pg_catalog.pg_proc f ${IN_SCHEMA('f.pronamespace')} join pg_catalog.pg_language l on l.oid = f.prolang`,
    // Functions that a range type makes for itself come with it.
    where: `${USER_SCHEMA} and not ${memberOfExtension('pg_proc', 'f.oid')} and not exists (select from pg_catalog.pg_depend i
      where i.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and i.objid = f.oid and i.deptype = 'i')`,
  }),
  query('type', 'schema', {
    name: 'n.nspname, t.typname',
    value: { kind: 't.typtype', owner: owner('t.typowner'), rights: rights('t.typacl', 'T', 't.typowner') },
    from: `pg_catalog.pg_type t ${IN_SCHEMA('t.typnamespace')}`,
    where: `${USER_SCHEMA} and not ${memberOfExtension('pg_type', 't.oid')} and t.typtype <> 'm'
      and (t.typrelid = 0 or exists (select from pg_catalog.pg_class c where c.oid = t.typrelid and c.relkind = 'c'))
      and not exists (select from pg_catalog.pg_type e where e.typarray = t.oid)`,
  }),
  query('event-trigger', 'database', {
    name: 'e.evtname',
    value: { event: 'e.evtevent', owner: owner('e.evtowner'), enabled: 'e.evtenabled', tags: sorted('e.evttags') },
    from: 'pg_catalog.pg_event_trigger e',
    where: `not ${memberOfExtension('pg_event_trigger', 'e.oid')}`,
  }),
  query('language', 'database', {
    name: 'l.lanname',
    value: { owner: owner('l.lanowner'), rights: rights('l.lanacl', 'l', 'l.lanowner'), isTrusted: 'l.lanpltrusted' },
    from: 'pg_catalog.pg_language l',
    where: `l.oid >= 16384 and not ${memberOfExtension('pg_language', 'l.oid')}`,
  }),
  query('foreign-data-wrapper', 'database', {
    name: 'w.fdwname',
    value: { owner: owner('w.fdwowner'), rights: rights('w.fdwacl', 'F', 'w.fdwowner') },
    from: 'pg_catalog.pg_foreign_data_wrapper w',
    where: `not ${memberOfExtension('pg_foreign_data_wrapper', 'w.oid')}`,
  }),
  query('foreign-server', 'database', {
    name: 's.srvname',
    value: { owner: owner('s.srvowner'), rights: rights('s.srvacl', 'S', 's.srvowner'), wrapper: 'w.fdwname' },
    from: 'pg_catalog.pg_foreign_server s join pg_catalog.pg_foreign_data_wrapper w on w.oid = s.srvfdw',
    where: `not ${memberOfExtension('pg_foreign_server', 's.oid')}`,
  }),
  query('user-mapping', 'database', {
    name: 'm.srvname, m.usename',
    value: {},
    from: 'pg_catalog.pg_user_mappings m',
  }),
  query('publication', 'database', {
    name: 'p.pubname',
    value: {
      owner: owner('p.pubowner'),
      isForAllTables: 'p.puballtables',
      publishes: `pg_catalog.json_build_array(p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate)`,
      tables: `coalesce((select pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname, c.relname) order by n.nspname, c.relname)
        from pg_catalog.pg_publication_rel r ${OF_TABLE('r.prrelid')} where r.prpubid = p.oid), '[]')`,
    },
    from: 'pg_catalog.pg_publication p',
  }),
  query('subscription', 'database', {
    name: 's.subname',
    value: { owner: owner('s.subowner'), isEnabled: 's.subenabled', publications: sorted('s.subpublications') },
    from: 'pg_catalog.pg_subscription s join pg_catalog.pg_database d on d.oid = s.subdbid',
    where: 'd.datname = pg_catalog.current_database()',
  }),
  query('default-rights', 'database', {
    name: `${owner('d.defaclrole')}, coalesce(n.nspname, ''), d.defaclobjtype`,
    value: { rights: `pg_catalog.to_json(${exploded('d.defaclacl')})` },
    from: 'pg_catalog.pg_default_acl d left join pg_catalog.pg_namespace n on n.oid = d.defaclnamespace',
  }),
  {
    kind: 'large-objects',
    within: 'database',
    sql: `select pg_catalog.json_build_array(x.owner, coalesce(x.rights::text, ''))::text as name,
       pg_catalog.json_build_object('count', pg_catalog.count(*))::text as value
     from (select ${owner('m.lomowner')} as owner, ${rights('m.lomacl', 'L', 'm.lomowner')}::text as rights
       from pg_catalog.pg_largeobject_metadata m) x group by x.owner, x.rights`,
  },
  owned('collation', 'pg_collation', 'coll'),
  owned('conversion', 'pg_conversion', 'con'),
  owned('operator', 'pg_operator', 'opr', 't.oprname, t.oprleft::pg_catalog.regtype, t.oprright::pg_catalog.regtype'),
  owned(
    'operator-class',
    'pg_opclass',
    'opc',
    't.opcname, (select amname from pg_catalog.pg_am where oid = t.opcmethod)',
  ),
  owned(
    'operator-family',
    'pg_opfamily',
    'opf',
    't.opfname, (select amname from pg_catalog.pg_am where oid = t.opfmethod)',
  ),
  owned('text-search-configuration', 'pg_ts_config', 'cfg'),
  owned('text-search-dictionary', 'pg_ts_dict', 'dict'),
  owned('statistics', 'pg_statistic_ext', 'stx'),
  query('cast', 'database', {
    name: 'pg_catalog.format_type(t.castsource, null), pg_catalog.format_type(t.casttarget, null)',
    value: { context: 't.castcontext', method: 't.castmethod' },
    from: 'pg_catalog.pg_cast t',
    where: `t.oid >= 16384 and not ${memberOfExtension('pg_cast', 't.oid')}`,
  }),
];

/** Of the whole server; pg_dumpall has them. Names that start with pg_ are the server's own. */
export const SERVER_FACTS: readonly FactQuery[] = [
  query('role', 'database', {
    name: 'r.rolname',
    value: {
      isSuperuser: 'r.rolsuper',
      inherits: 'r.rolinherit',
      createsRoles: 'r.rolcreaterole',
      createsDatabases: 'r.rolcreatedb',
      logsIn: 'r.rolcanlogin',
      replicates: 'r.rolreplication',
      bypassesRowSecurity: 'r.rolbypassrls',
      connectionLimit: 'r.rolconnlimit',
      validUntil: 'r.rolvaliduntil::text',
      settings: `coalesce((select pg_catalog.to_json(s.setconfig) from pg_catalog.pg_db_role_setting s
        where s.setdatabase = 0 and s.setrole = r.oid), '[]')`,
    },
    from: 'pg_catalog.pg_roles r',
    where: `r.rolname !~ '^pg_'`,
  }),
  query('membership', 'database', {
    name: `${owner('m.roleid')}, ${owner('m.member')}`,
    value: { isAdmin: 'pg_catalog.bool_or(m.admin_option)' },
    from: 'pg_catalog.pg_auth_members m group by m.roleid, m.member',
  }),
  query('tablespace', 'database', {
    name: 't.spcname',
    value: {
      owner: owner('t.spcowner'),
      rights: rights('t.spcacl', 't', 't.spcowner'),
      location: 'pg_catalog.pg_tablespace_location(t.oid)',
      options: sorted('t.spcoptions'),
    },
    from: 'pg_catalog.pg_tablespace t',
    where: `t.spcname !~ '^pg_'`,
  }),
];
