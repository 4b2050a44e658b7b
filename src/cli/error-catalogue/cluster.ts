import type { Explanations } from './explanation.ts';

/** Of Kubernetes, helm and PostgreSQL. */
export const CLUSTER = {
  HELM_MISSING: {
    status: 1,
    meaning:
      'Charts are rendered by the real helm 4, and there is none to run, or what runs is an older one or another program.',
    remedy: 'Install helm 4 (https://helm.sh/docs/intro/install/) so that it is found on PATH.',
  },
  HELM_FAILED: {
    status: 1,
    meaning: 'helm could not render a chart with the values that it was given.',
    remedy: "Read helm's own message; run `helm template` on the chart with the same values to look closer.",
  },
  HELM_TIMEOUT: {
    status: 1,
    meaning: 'helm did not finish in time, or printed more than a chart can sensibly render to.',
    remedy: 'Look for a template that loops or reads from the network.',
  },
  RELEASE_REFUSED: {
    status: 1,
    meaning:
      'helm could not do what was asked of a release: the chart did not render, the cluster did not take an object, or it could not be reached. Where it says that nothing was changed, the release runs as before.',
    remedy: "Read helm's own message, remove its cause, and run the command again.",
  },
  RELEASE_FAILED: {
    status: 1,
    meaning:
      'A release was installed or upgraded and did not get ready in time. Events, states of Pods and logs were saved; then it went back to the revision that ran before, or was uninstalled when there was none. Volumes with data stay.',
    remedy:
      'Read what the Pods say below and in the folder that is named, remove the cause, and run the same import again: it goes on where it stopped.',
  },
  POD_NOT_READY: {
    status: 1,
    meaning: 'What the cluster says about one Pod or object of a release that failed.',
    remedy: "Look into the folder that the release's error names: it holds the events and the whole logs.",
  },
  KUBERNETES_UNREACHABLE: {
    status: 1,
    meaning: 'There is no connection to the API server, or it gave no answer in time.',
    remedy:
      'Check that the API server runs (`kubectl get nodes` with the same kubeconfig), the server of the context, and the proxy settings: an API server that is reached directly belongs in NO_PROXY.',
  },
  KUBERNETES_UNTRUSTED: {
    status: 1,
    meaning:
      "The API server's certificate is not trusted: it is of another authority or name, or the clock of this machine lies outside its time.",
    remedy: 'Get the kubeconfig from the cluster again. If the message speaks of a clock, set the one that is wrong.',
  },
  KUBERNETES_UNAUTHORIZED: {
    status: 1,
    meaning: 'The API server does not accept the credentials of the context, or the kubeconfig gave none.',
    remedy:
      'Log in to the cluster again or get a new kubeconfig; client certificates run out. If the message names a credential plugin, run that plugin by itself. If it speaks of a clock, set the one that is wrong.',
  },
  KUBERNETES_FORBIDDEN: {
    status: 1,
    meaning:
      'The user of the context may not do what is needed; the message names verb, resource and user as the API server says them. Quotas and admission policies refuse in the same way.',
    remedy: 'Use a context whose user has the right (for k3s: /etc/rancher/k3s/k3s.yaml as root), or have it granted.',
  },
  KUBERNETES_NOT_FOUND: {
    status: 1,
    meaning: 'Something that the request needs is not in the cluster, mostly a namespace.',
    remedy: 'Create what the message names, or correct its name.',
  },
  KUBERNETES_EXISTS: {
    status: 1,
    meaning: 'An object of that name is in the cluster already.',
    remedy: 'Choose another name, or remove what is there if nobody needs it.',
  },
  KUBERNETES_CONFLICT: {
    status: 1,
    meaning: 'Somebody else changed an object at the same time.',
    remedy: 'Run the command again.',
  },
  KUBERNETES_GONE: {
    status: 1,
    meaning: 'A list changed so much while it was read that the API server cannot go on with it.',
    remedy: 'Run the command again.',
  },
  KUBERNETES_INVALID: {
    status: 1,
    meaning: 'The API server does not take an object as it is; the message has its words.',
    remedy: 'Correct the object at the places that the message names.',
  },
  KUBERNETES_KIND_UNKNOWN: {
    status: 1,
    meaning: 'The cluster does not know a kind of object.',
    remedy: 'Install what defines the kind (a CustomResourceDefinition), or use a cluster of a version that has it.',
  },
  KUBERNETES_FAILED: {
    status: 1,
    meaning: 'The API server failed, or what answers is no API server.',
    remedy: "Read the API server's own log, check the server of the context, and run the command again.",
  },
  KUBERNETES_FORWARD_FAILED: {
    status: 1,
    meaning: 'A connection to a port of a Pod, through the API server, could not be made, or broke.',
    remedy:
      'See that the Pod runs, that this user may get and create pods/portforward, and that no proxy before the API server refuses WebSocket.',
  },
  KUBECONFIG_MISSING: {
    status: 2,
    meaning: 'No kubeconfig was found that says how the cluster is reached.',
    remedy:
      'Give one with --kubeconfig or KUBECONFIG. On a k3s server it is /etc/rancher/k3s/k3s.yaml, readable by root.',
  },
  TARGET_LOCKED: {
    status: 1,
    meaning: 'Another run of Portolan holds the lock of the target and did not end in time; the message names it.',
    remedy:
      'Wait for it to end, or raise --wait-lock. A run that died is found out within a minute: then run the command again.',
  },
  TARGET_LOCK_LOST: {
    status: 1,
    meaning:
      'The lock of the target could not be kept, because its API server or disk did not answer for too long. The run stopped so that no two run at once.',
    remedy: 'Mend what the message names and run the command again: it goes on where it stopped.',
  },
  TARGET_STATE_TOO_LARGE: {
    status: 1,
    meaning: 'A document that Portolan keeps at the target is larger than a Secret may be.',
    remedy: 'Split the bundle into several: it has more parts than the state of a target can name.',
  },
  TARGET_STATE_DAMAGED: {
    status: 3,
    meaning: 'A document that Portolan keeps at the target is not readable: it was altered from outside or cut.',
    remedy:
      'Restore the named Secret or file from a backup. Without one, remove it: Portolan then no longer knows what it had applied, and imports anew.',
  },
  ARCHIVE_INVALID: {
    status: 2,
    meaning:
      'An archive of modules cannot be read: it is no tar file, it is cut, or it holds something that is not a migration.',
    remedy: 'Pack it again with `tar -czf modules.tar.gz -C MODULES .`, and give all its parts in their order.',
  },
  DATABASE_URL_INVALID: {
    status: 2,
    meaning:
      'The address of a database is not well formed, holds a password, or has a parameter that is not supported.',
    remedy:
      'Write it as postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full. A password comes by --database-password-file, PGPASSWORD or PGPASSFILE.',
  },
  DATABASE_PASSWORD_MISSING: {
    status: 2,
    meaning: 'The database asks for a password, and none was given.',
    remedy: 'Give it by --database-password-file, PGPASSWORD or PGPASSFILE.',
  },
  DATABASE_UNREACHABLE: {
    status: 1,
    meaning:
      'No connection to the database came about: nothing listens there, the name is unknown, or the server takes no connections now.',
    remedy: 'Check host and port, and that the server runs; --connect-wait keeps trying for longer.',
  },
  DATABASE_TIMEOUT: {
    status: 1,
    meaning: 'The database did not answer in time.',
    remedy: 'Check that no firewall or network policy drops the connection, and that the server is not overloaded.',
  },
  DATABASE_UNTRUSTED: {
    status: 1,
    meaning:
      'The connection could not be protected as sslmode asks: the server offers no TLS, or its certificate is not trusted or is for another name.',
    remedy:
      'Give the certificate authority by --ca-file, use the name that stands in the certificate, or turn TLS on at the server.',
  },
  DATABASE_UNAUTHORIZED: {
    status: 1,
    meaning: 'The server refuses the user, the password, or the database.',
    remedy: 'Check them, and the rules in pg_hba.conf of the server.',
  },
  DATABASE_POOLED: {
    status: 1,
    meaning:
      'The address leads to a connection pooler. Locks of a session do not hold behind one, so that two runs could work at once.',
    remedy: 'Name the address of PostgreSQL itself (for Supabase: the direct connection, not the pooler).',
  },
  DATABASE_UNSUPPORTED: {
    status: 1,
    meaning: 'The server is older than PostgreSQL 14, or does not know a setting that is needed.',
    remedy: 'Upgrade the server.',
  },
  DATABASE_READ_ONLY: {
    status: 1,
    meaning: 'The server is a standby, which takes no changes.',
    remedy: 'Name the address of the primary.',
  },
  DATABASE_STATEMENT_FAILED: {
    status: 1,
    meaning:
      "The server refused a statement of Portolan's own, mostly because the user may not create or change the schema portolan.",
    remedy:
      'The message has the words of the server. Grant the user create on the database, or make it the owner of the schema portolan.',
  },
  DATABASE_LOST: {
    status: 1,
    meaning: 'The connection to the database broke.',
    remedy: 'See that the server runs, and run the command again: what was done is in the ledger.',
  },
} as const satisfies Explanations;
