/** Statement timeout, lock timeout, deadlock, serialisation failure, out of memory: the server is up but too busy. */
export const BUSY: ReadonlySet<string> = new Set(['57014', '55P03', '40P01', '40001', '53200']);
