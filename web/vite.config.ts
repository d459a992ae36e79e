import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { defineConfig, type Plugin } from "vite";

// each file of src/pages is the script of one kind of page; what several share lies beside them
const pages = resolve(import.meta.dirname, "src/pages");
const input = Object.fromEntries(
  readdirSync(pages)
    .filter((name) => name.endsWith(".ts"))
    .map((name) => [name.slice(0, -3), resolve(pages, name)]),
);

// NiiVue reads volumes that the service made, so its reader of Zarr stores and their codecs (1.4 MB) is left out
const withoutZarr: Plugin = {
  name: "without-zarr",
  enforce: "pre",
  resolveId: (name) => (name === "zarrita" ? "\0zarrita" : null),
  load: (id) => (id === "\0zarrita" ? `const gone = () => { throw new Error("Zarr stores are not read here."); };
export { gone as slice, gone as root, gone as open, gone as get, gone as FetchStore };` : null),
};

// A page's script is addressed by its content (?v=…) and a chunk would import it without that: it would run twice.
const noImportOfPages: Plugin = {
  name: "no-import-of-pages",
  generateBundle(_, made) {
    for (const one of Object.values(made))
      if (one.type === "chunk")
        for (const name of [...one.imports, ...one.dynamicImports])
          if (Object.keys(input).some((page) => name === `${page}.js`)) this.error(`${one.fileName} imports the page's script ${name}; put what they share into a group of its own.`);
  },
};

export default defineConfig({
  plugins: [withoutZarr, noImportOfPages],
  publicDir: false,
  base: "/assets/",
  build: {
    outDir: resolve(import.meta.dirname, "../src/insula/serve/web/built"),
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    reportCompressedSize: true,
    chunkSizeWarningLimit: 1500,
    rollupOptions: {
      input,
      output: { entryFileNames: "[name].js", chunkFileNames: "chunks/[name]-[hash].js", assetFileNames: "chunks/[name]-[hash][extname]",
        codeSplitting: { groups: [{ name: "viewer", test: /src[\\/]viewer[\\/](data|paint|nifti|stage)\.ts$/ }] } },
    },
  },
});
