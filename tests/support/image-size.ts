/**
 * Says how large an image is, layer by layer: `make image-size IMAGE=top-clients:dev`. The image comes from docker, or from
 * buildah where there is no docker.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, createReadStream, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Duplex, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';

interface Layer {
  /** The instruction of the Dockerfile. */
  readonly made: string;
  readonly bytes: number;
  /** As a registry holds it, and a node pulls it. */
  readonly packed: number;
  /** Beside the base. */
  readonly isOurs: boolean;
}

const image = process.argv[2] ?? 'top-clients:dev';
const folder = mkdtempSync(join(tmpdir(), 'image-size-'));
try {
  save(image, join(folder, 'image.tar'));
  execFileSync('tar', ['-xf', join(folder, 'image.tar'), '-C', folder]);
  const layers = await layersOf(folder);
  const sum = (of: readonly Layer[], what: 'bytes' | 'packed') => of.reduce((all, one) => all + one[what], 0);
  const ours = layers.filter(({ isOurs }) => isOurs);
  for (const { made, bytes, packed } of layers) {
    if (bytes > 10_000) console.log(`${megabytes(bytes)} ${megabytes(packed)} packed  ${made.slice(0, 90)}`);
  }
  console.log(
    `${image}: ${megabytes(sum(layers, 'bytes')).trim()}, ${megabytes(sum(layers, 'packed')).trim()} packed; ` +
      `beside its base ${megabytes(sum(ours, 'bytes')).trim()}, ${megabytes(sum(ours, 'packed')).trim()} packed`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function save(name: string, to: string): void {
  const hasDocker = spawnSync('docker', ['image', 'inspect', name]).status === 0;
  const file = openSync(to, 'w');
  try {
    const command = hasDocker
      ? ['docker', 'save', name]
      : ['buildah', 'push', '--quiet', name, `docker-archive:/dev/stdout:${name}`];
    execFileSync(command[0]!, command.slice(1), { stdio: ['ignore', file, 'inherit'] });
  } finally {
    closeSync(file);
  }
}

async function layersOf(at: string): Promise<Layer[]> {
  const read = (path: string) => JSON.parse(readFileSync(join(at, path), 'utf8'));
  const [{ Config, Layers }] = read('manifest.json') as [{ Config: string; Layers: string[] }];
  const history = read(Config).history as { created_by?: string; empty_layer?: boolean }[];
  // The last stage of the Dockerfile begins with it.
  const begins = history.findLastIndex(({ created_by = '' }) => created_by.includes('WORKDIR'));
  const made = history
    .map(({ created_by = '', empty_layer }, i) => ({ created_by, empty_layer, isOurs: i > begins }))
    .filter(({ empty_layer }) => !empty_layer);
  const layers: Layer[] = [];
  for (const [i, path] of Layers.entries()) {
    const file = join(at, path);
    const isPacked = readFileSync(file)
      .subarray(0, 2)
      .equals(Buffer.from([0x1f, 0x8b]));
    const size = statSync(file).size;
    const other = await sizeThrough(file, isPacked ? createGunzip() : createGzip());
    // A base that no Dockerfile made may tell less.
    const { created_by = 'the base', isOurs = false } = made[i - Layers.length + made.length] ?? {};
    const [bytes, packed] = isPacked ? [other, size] : [size, other];
    layers.push({ made: created_by, bytes, packed, isOurs });
  }
  return layers;
}

async function sizeThrough(file: string, through: Duplex): Promise<number> {
  let bytes = 0;
  const count = new Writable({
    write(chunk: Buffer, _, done) {
      bytes += chunk.length;
      done();
    },
  });
  await pipeline(createReadStream(file), through, count);
  return bytes;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`.padStart(9);
}
