import { spawn } from 'node:child_process';

type Environment = Readonly<Record<string, string>>;

/**
 * Opens an address in the person's browser, where there seems to be one. That it failed is not told: the person was shown the address
 * anyway. The address holds no secret: who sees it among the arguments lacks the verifier of PKCE.
 */
export function openBrowser(address: string, env: Environment): void {
  const program = browserProgram(env);
  if (program === undefined) return;
  const child = spawn(program, [address], { env: withoutSecrets(env), stdio: 'ignore', detached: true });
  child.on('error', () => {});
  child.unref();
}

/** A browser runs for days, and has its environment read by more than the person: passwords that this program was given stay here. */
function withoutSecrets(env: Environment): Environment {
  const isSecret = (name: string) => /PASSW|PASSPHRASE|SECRET|TOKEN|CREDENTIAL/i.test(name);
  return Object.fromEntries(Object.entries(env).filter(([name]) => !isSecret(name)));
}

/** As other programs look; without a screen, `xdg-open` would start a browser in this very terminal. */
function browserProgram(env: Environment): string | undefined {
  if (env.BROWSER) return /^\S+$/.test(env.BROWSER) ? env.BROWSER : undefined;
  return env.DISPLAY || env.WAYLAND_DISPLAY ? 'xdg-open' : undefined;
}
