/**
 * Builds GraphiQL's page into the gateway's package data. The result is never committed: `make web` and the wheel build it.
 *
 * `npm run dev` serves the page with a gateway at SAGAQL_URL behind it (http://127.0.0.1:8000 unless told otherwise).
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

const OUT_DIR = '../gateway/edge/static/graphiql';
const GZIP_ABOVE_BYTES = 1024;
const gateway = process.env.SAGAQL_URL ?? 'http://127.0.0.1:8000';

/** Compress once, when building: the server only picks. The page itself stays plain, because the server writes into it. */
function gzipBesideAssets(): Plugin {
  return {
    name: 'sagaql:gzip-beside-assets',
    apply: 'build',
    async writeBundle({ dir }, bundle) {
      if (dir === undefined) throw new Error('the build has no output directory');
      const assets = Object.keys(bundle).filter((name) => name.startsWith('assets/'));
      for (const name of assets) {
        const bytes = await readFile(join(dir, name));
        if (bytes.byteLength > GZIP_ABOVE_BYTES) await writeFile(join(dir, `${name}.gz`), gzipSync(bytes, { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  base: './', // the server knows its own path and writes it into the page; workers are found beside the script that starts them
  build: {
    outDir: OUT_DIR,
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 8192, // kB: Monaco is one honest giant
    rolldownOptions: {
      // "use client" speaks to server rendering, of which there is none here: hundreds of lines that would hide a real warning.
      onLog: (level, log, report) => (log.code === 'MODULE_LEVEL_DIRECTIVE' ? undefined : report(level, log)),
    },
    license: { fileName: 'licenses.md' }, // the wheel carries other people's MIT code, so it carries their notices
  },
  worker: { format: 'es' },
  resolve: { dedupe: ['react', 'react-dom', 'graphql', '@graphiql/react', 'monaco-editor', 'monaco-graphql'] },
  server: { proxy: { '/graphql': { target: gateway, ws: true } } },
  plugins: [gzipBesideAssets()],
});
