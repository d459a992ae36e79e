import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { defineConfig } from "vite";

// each file of src/pages is the script of one kind of page; what several share lies beside them
const pages = resolve(import.meta.dirname, "src/pages");
const input = Object.fromEntries(
  readdirSync(pages)
    .filter((name) => name.endsWith(".ts"))
    .map((name) => [name.slice(0, -3), resolve(pages, name)]),
);

export default defineConfig({
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
      output: { entryFileNames: "[name].js", chunkFileNames: "chunks/[name]-[hash].js", assetFileNames: "chunks/[name]-[hash][extname]" },
    },
  },
});
