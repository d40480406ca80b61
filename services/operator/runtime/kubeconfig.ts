import type { Access } from './access.ts';
import { plainAccess } from './plain-kubeconfig.ts';

/**
 * Access by the current context of a kubeconfig file.
 * @throws Error when the file cannot be read or names no cluster
 */
export async function kubeconfigAccess(file: string): Promise<Access> {
  // The library is loaded only here: few kubeconfigs need it.
  return (await plainAccess(file)) ?? (await import('./library-access.ts')).libraryAccess(file);
}
