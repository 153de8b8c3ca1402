// Builds the page without data: markup, styles and the bundled script in one file, which the Python package ships.
//   node build.mjs           writes it
//   node build.mjs --check   exits with 1 if the file that is checked in is not what the sources make, byte for byte
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, transform } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "impulse_nnunet", "outputs", "page", "viewer.html");
const bundled = ["three", "three-mesh-bvh"];

// What the built file is made of: a test without Node compares this number with the sources.
function hashOfSources() {
  const names = readdirSync(join(here, "src")).sort().map((name) => join("src", name));
  const hash = createHash("sha256");
  for (const name of ["build.mjs", "package-lock.json", ...names]) {
    hash.update(name.replaceAll("\\", "/") + "\0").update(readFileSync(join(here, name))).update("\0");
  }
  return hash.digest("hex");
}

function licences() {
  return bundled.map((name) => {
    const folder = join(here, "node_modules", name);
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const text = readFileSync(join(folder, "LICENSE"), "utf8").trim();
    return `${name} ${version} (${license}), https://www.npmjs.com/package/${name}\n\n${text}`;
  }).join("\n\n----\n\n");
}

async function page() {
  const read = (name) => readFileSync(join(here, "src", name), "utf8");
  const options = { bundle: true, minify: true, format: "iife", target: "es2022", legalComments: "none" };
  const script = await build({
    ...options, write: false, logLevel: "error", entryPoints: [join(here, "src", "main.js")], absWorkingDir: here,
  });
  const style = await transform(read("style.css"), { loader: "css", minify: true });
  const parts = {
    "SOURCES": hashOfSources(),
    "LICENCES": licences(),
    "STYLE": style.code.trim(),
    "SCRIPT": script.outputFiles[0].text.trim().replaceAll("</script", "<\\/script"),
  };
  return read("index.html").replace(/\[\[(SOURCES|LICENCES|STYLE|SCRIPT)\]\]/g, (_, name) => parts[name]);
}

const built = await page();
if (process.argv.includes("--check")) {
  const same = readFileSync(target, "utf8") === built;
  console.log(same ? "the built page is what the sources make" : `${target} differs: run make viewer`);
  process.exit(same ? 0 : 1);
}
writeFileSync(target, built);
console.log(`${target} (${(built.length / 1e3).toFixed(0)} kB)`);
