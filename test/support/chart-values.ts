/** Values of helm/portolan that make a whole installation. */
export function chartValues() {
  return {
    repository: { url: 's3://backups/cms?endpoint=https://minio.ship:9000' },
    source: {
      postgres: { host: 'cms-data', user: 'postgres', databases: ['cms'], password: { secret: 'cms-data-auth' } },
    },
  };
}

/** Every job, every option that makes an object, an argument or a volume. */
export function everythingOn() {
  const { repository, source } = chartValues();
  return {
    repository: { ...repository, limitUpload: '10MiB', limitDownload: '20MiB' },
    certificates: { kind: 'Secret', name: 'authorities', key: 'ca.crt' },
    source: {
      postgres: {
        ...source.postgres,
        ...{ port: 5433, all: true, sslMode: 'verify-full', profile: 'supabase' },
        ...{ excludeSchemas: ['audit'], excludeTables: ['a.b'], excludeRows: ['a.c'] },
        certificates: { kind: 'ConfigMap', name: 'database-authority', key: 'root.crt' },
      },
      files: [{ name: 'uploads', claim: 'uploads', subPath: 'current' }],
      excludeFiles: ['*.tmp'],
    },
    backup: { tags: ['nightly'], askRoles: true },
    prune: {
      retention: {
        ...{ keepLast: 2, keepHourly: 3, keepDaily: 7, keepWeekly: 4, keepMonthly: 12, keepYearly: 3 },
        ...{ keepWithin: '14d', keepTags: ['before-upgrade'], floor: '2d', perDay: 2 },
      },
    },
    check: { sign: true },
    drill: {
      enabled: true,
      image: 'registry.ship/portolan-drill:0.1.0',
      snapshot: 'db-1',
      checks: { configMap: 'checks' },
    },
    metrics: { enabled: true, serviceMonitor: { enabled: true }, rules: { enabled: true } },
    logs: { otlp: { endpoint: 'http://signoz.ship:4318', headersSecret: 'signoz' } },
    proxy: { https: 'http://proxy.ship:3128', http: 'http://proxy.ship:3128', none: '.ship' },
    pod: {
      ...{ supplementalGroups: [999], nodeSelector: { disk: 'fast' }, priorityClassName: 'low' },
      ...{ tolerations: [{ operator: 'Exists' }], labels: { team: 'ship' }, annotations: { note: 'x' } },
      affinity: { podAntiAffinity: {} },
    },
    imagePullSecrets: [{ name: 'registry' }],
  };
}
