// Cuts PatternFly's styles down to what the Console uses: see scripts/console-assets.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const npm = dirname(fileURLToPath(import.meta.url)), console_ = dirname(npm);
const require = createRequire(import.meta.url);
const postcss = require("postcss"), cssnano = require("cssnano");
const { PurgeCSS } = require("purgecss");
const read = (...path) => readFileSync(join(...path), "utf8");
const modules = (...path) => read(npm, "node_modules", ...path);
const version = (name) => JSON.parse(modules(name, "package.json")).version;

const parts = ["Nav/nav", "Table/table", "Table/table-grid", "Label/label", "Card/card", "Button/button", "Alert/alert",
  "FormControl/form-control", "Breadcrumb/breadcrumb", "Title/title", "Tabs/tabs"];
const source = [modules("@patternfly/patternfly", "patternfly-base-no-globals.css"),
  ...parts.map((p) => modules("@patternfly/patternfly", "components", p + ".css"))].join("\n");

// Dark is what the person's system says, without a script that sets a class.
const dark = () => ({
  postcssPlugin: "dark",
  Once(root, { AtRule }) {
    root.walkRules((rule) => {
      if (/theme-(high-contrast|glass|felt)/.test(rule.selector)) return rule.remove();
      if (!rule.selector.includes("pf-v6-theme-dark")) return;
      rule.selector = rule.selector.replace(/(:root)?:where\(\.pf-v6-theme-dark\)/g, ":root");
      const media = new AtRule({ name: "media", params: "(prefers-color-scheme: dark)" });
      rule.replaceWith(media);
      media.append(rule);
    });
    root.walkAtRules("font-face", (rule) => rule.remove()); // the system's fonts will do
  },
});

// A variable that nothing uses is left out, and so is one that only such variables use.
const used = (own) => ({
  postcssPlugin: "used",
  OnceExit(root) {
    const wanted = new Set(), uses = new Map();
    const names = (value) => [...value.matchAll(/var\(\s*(--[\w-]+)/g)].map((m) => m[1]);
    const want = (name) => {
      if (wanted.has(name)) return;
      wanted.add(name);
      (uses.get(name) ?? []).forEach(want);
    };
    root.walkDecls((d) => { if (d.prop.startsWith("--")) uses.set(d.prop, [...(uses.get(d.prop) ?? []), ...names(d.value)]); });
    names(own).forEach(want);
    root.walkDecls((d) => { if (!d.prop.startsWith("--")) names(d.value).forEach(want); });
    root.walkDecls((d) => { if (d.prop.startsWith("--") && !wanted.has(d.prop)) d.remove(); });
    root.walkRules((rule) => { if (rule.nodes.length === 0) rule.remove(); });
    root.walkAtRules((rule) => { if (rule.nodes?.length === 0) rule.remove(); });
  },
});

const words = (text) => text.match(/[A-Za-z0-9_-]+/g) ?? [];
const content = [
  ...readdirSync(join(console_, "view")).filter((f) => f.endsWith(".html")).map((f) => ({ raw: read(console_, "view", f), extension: "html" })),
  { raw: read(console_, "views.go"), extension: "go" },
];
const cut = async () => {
  const themed = await postcss([dark()]).process(source, { from: undefined });
  const [{ css }] = await new PurgeCSS().purge({
    content, css: [{ raw: themed.css }], defaultExtractor: words, keyframes: true, fontFace: true,
    safelist: { standard: [":root", "html", "body"] },
  });
  return postcss([used(read(console_, "assets", "console.css")), cssnano({ preset: "default" })]).process(css, { from: undefined });
};

const { css } = await cut();
const from = (name, licence) => `/*! ${name} ${version(name)}, ${licence}: see LICENSES.txt */\n`;
writeFileSync(join(console_, "assets", "patternfly.css"), from("@patternfly/patternfly", "MIT") + css + "\n");
writeFileSync(join(console_, "assets", "htmx.js"), from("htmx.org", "0BSD") + modules("htmx.org", "dist", "htmx.min.js"));
writeFileSync(join(console_, "assets", "sse.js"), from("htmx-ext-sse", "0BSD") + modules("htmx-ext-sse", "dist", "sse.min.js"));
