/** Statement timeout, lock timeout, deadlock, serialisation, no memory: the server is up, and too busy with others. */
export const BUSY: ReadonlySet<string> = new Set(['57014', '55P03', '40P01', '40001', '53200']);
