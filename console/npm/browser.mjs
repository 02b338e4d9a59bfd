// The Console in a real browser. A Go test (console/browser_test.go) starts what it looks at
// and runs this; each check is a sentence, and the first that does not hold ends it with 1.
//   CONSOLE  the Console's address      CONTROL  where changes to the cluster are asked for
//   PASSWORD everybody's                CHROMIUM the browser
//   SHOTS    a folder for screenshots, where these are wanted and nothing else
import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import { strict as assert } from "node:assert";
const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");
const axe = require("axe-core").source;

const { CONSOLE, CONTROL, PASSWORD, CHROMIUM, SHOTS } = process.env;
const secret = "hunter2-do-not-show";
const pages = {
  overview: "/", machines: "/machines", machine: "/machines/demo-worker-1", workloads: "/workloads", events: "/workloads?kind=events",
  pod: "/workloads/pods/shop/payments-5d9f7b6c4-x8k2p", deployment: "/workloads/deployments/shop/web", log: "/logs/shop/web-7c5ddbdf54-08zq0",
  contract: "/contract", clause: "/contract/master.ingress.ssh", operations: "/operations", certificates: "/certificates",
};
const wide = { width: 1280, height: 900 }, narrow = { width: 390, height: 844 };

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
const figures = [];
let heaviest = 0, slowest = 0;

async function someone(name, options = {}) {
  const context = await browser.newContext({ viewport: wide, ignoreHTTPSErrors: true, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(15000);
  const page = await context.newPage();
  page.troubles = [];
  page.on("pageerror", (e) => page.troubles.push(`${page.url()}: ${e.message}`));
  page.on("console", (m) => {
    if (m.type() === "error" && page.url().startsWith(CONSOLE) && !/status of 403/.test(m.text())) page.troubles.push(`${page.url()}: ${m.text()}`);
  });
  if (name) {
    await page.goto(CONSOLE + "/machines");
    await signIn(page, name);
    await page.waitForURL(CONSOLE + "/machines");
  }
  return page;
}

async function signIn(page, name) {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
}

const change = async (what) => {
  const answer = await fetch(CONTROL + "/" + what, { method: "POST" });
  assert.equal(answer.status, 200, `${what}: ${await answer.text()}`);
};

async function check(sentence, run) {
  const began = Date.now();
  try {
    await run();
  } catch (e) {
    console.log(`FAILED: ${sentence}\n${e.stack}`);
    await browser.close();
    process.exit(1);
  }
  console.log(`ok ${((Date.now() - began) / 1000).toFixed(1)}s  ${sentence}`);
}

if (SHOTS) {
  await check("screenshots are taken", async () => {
    mkdirSync(SHOTS, { recursive: true });
    await change("rest");
    for (const colorScheme of ["light", "dark"]) {
      for (const [size, viewport] of Object.entries({ wide, narrow })) {
        const page = await someone("ada", { colorScheme, viewport });
        for (const [name, path] of Object.entries(pages)) {
          await page.goto(CONSOLE + path);
          await page.waitForTimeout(400);
          await page.screenshot({ path: `${SHOTS}/${name}-${size}-${colorScheme}.png` });
        }
        await page.goto(CONSOLE + "/contract");
        await page.getByRole("link", { name: "as a picture" }).click();
        await page.screenshot({ path: `${SHOTS}/picture-${size}-${colorScheme}.png` });
        await page.context().close();
      }
    }
  });
  await browser.close();
  process.exit(0);
}

const ada = await someone(null);

await check("somebody who signs in gets to the page that they wanted", async () => {
  await ada.goto(CONSOLE + "/machines?q=worker");
  assert.ok(!ada.url().startsWith(CONSOLE), "it is the provider that asks for a password");
  await signIn(ada, "ada");
  await ada.waitForURL(CONSOLE + "/machines?q=worker");
  assert.equal(await ada.locator("tbody tr").count(), 2);
});

await check("cookies are for this host and TLS only, and no script reads them", async () => {
  const cookies = (await ada.context().cookies()).filter((c) => c.name.includes("craton"));
  assert.ok(cookies.length > 0);
  for (const c of cookies) {
    assert.ok(c.name.startsWith("__Host-") && c.secure && c.httpOnly && c.sameSite === "Lax", JSON.stringify({ ...c, value: "" }));
  }
  assert.equal(await ada.evaluate(() => document.cookie), "");
});

await check("each page is there, light, quick, without errors, and holds no secret", async () => {
  for (const [name, path] of Object.entries(pages)) {
    const fresh = await ada.context().newPage();
    await (await fresh.context().newCDPSession(fresh)).send("Network.setCacheDisabled", { cacheDisabled: true });
    fresh.troubles = [];
    fresh.on("pageerror", (e) => fresh.troubles.push(e.message));
    fresh.on("console", (m) => { if (m.type() === "error") fresh.troubles.push(m.text()); });
    const answer = await fresh.goto(CONSOLE + path);
    assert.equal(answer.status(), 200, path);
    assert.equal(await fresh.locator("h1").count(), 1, path);
    const [bytes, usable] = await fresh.evaluate(() => {
      const all = [performance.getEntriesByType("navigation")[0], ...performance.getEntriesByType("resource").filter((r) => !r.name.includes("/live"))];
      return [all.reduce((sum, r) => sum + r.transferSize, 0), performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd];
    });
    figures.push(`${name}: ${(bytes / 1000).toFixed(0)} kB, ${usable.toFixed(0)} ms`);
    [heaviest, slowest] = [Math.max(heaviest, bytes), Math.max(slowest, usable)];
    assert.ok(bytes > 5000 && bytes <= 150_000, `${path} weighs ${bytes} bytes`);
    assert.ok(!(await fresh.content()).includes(secret), `${path} shows a secret`);
    assert.deepEqual(fresh.troubles, [], path);
    await fresh.close();
  }
});

await check("axe finds nothing serious on any page, in the light and in the dark", async () => {
  for (const colorScheme of ["light", "dark"]) {
    await ada.emulateMedia({ colorScheme });
    for (const path of Object.values(pages)) {
      await ada.goto(CONSOLE + path);
      await ada.evaluate(axe);
      // What is not a matter of colours is the same in the dark.
      const { violations } = await ada.evaluate((only) => axe.run(only), colorScheme === "dark" ? { runOnly: ["color-contrast"] } : {});
      const serious = violations.filter((v) => ["serious", "critical"].includes(v.impact));
      assert.deepEqual(serious.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).slice(0, 3).join(" | ")}`), [], `${path}, ${colorScheme}`);
    }
  }
  await ada.emulateMedia({ colorScheme: "light" });
});

// A change has to be seen within a second of the API's answer to it.
async function within(path, what, locator) {
  const start = Date.now();
  await ada.goto(CONSOLE + path);
  const load = Date.now() - start; // a busy host takes its time for everything
  await ada.waitForTimeout(700); // the stream is open, and the page has settled
  await change(what);
  const began = Date.now();
  await locator(ada).waitFor({ timeout: 10000 });
  const took = Date.now() - began;
  figures.push(`${what} seen after ${took} ms; the page took ${load} ms`);
  assert.ok(took <= 1000 + 10 * load, `${what} was seen after ${took} ms, where the page takes ${load} ms`);
}

await check("a new pod, one that is gone, a machine that is not well, a counter and an operation are seen within a second", async () => {
  await within("/workloads?ns=shop", "pod", (p) => p.getByRole("link", { name: "web-new" }));
  await within("/workloads/pods/shop/web-new", "pod-gone", (p) => p.getByText("may have been deleted"));
  await within("/machines/demo-worker-1", "pod-on", (p) => p.getByRole("link", { name: "web-newer" }));
  await within("/", "break-machine", (p) => p.getByText("Machine demo-worker-2: not ready", { exact: true }));
  await within("/machines", "mend-machine", (p) => p.locator("tr", { hasText: "demo-worker-2" }).getByText("Ready", { exact: true }));
  await within("/contract", "count", (p) => p.locator("tr", { hasText: "master.ingress.ssh" }).getByText("1\u202f000\u202f137"));
  await within("/operations", "operate", (p) => p.getByText("waiting: demo-worker-3"));
});

await check("a filter narrows a list as it is typed, and the address keeps it", async () => {
  await ada.goto(CONSOLE + "/workloads");
  await ada.getByLabel("Filter", { exact: true }).fill("coredns");
  await ada.waitForURL(/q=coredns/);
  await ada.locator("tbody tr").nth(2).waitFor({ state: "detached" });
  assert.equal(await ada.locator("tbody tr").count(), 2);
  await change("another-coredns"); // the list goes on being live
  await ada.locator("tbody tr").nth(2).waitFor();
});

await check("a log goes on as its container writes, and markup in it is text", async () => {
  await ada.goto(CONSOLE + pages.log);
  await ada.getByText("request 40 of").waitFor();
  await ada.getByText("request 45 of").waitFor();
  await ada.waitForFunction(() => { const log = document.getElementById("log"); return log.scrollHeight - log.scrollTop - log.clientHeight < 60; });
  assert.ok((await ada.locator("#log").innerText()).includes("<b>somebody</b>"));
  assert.equal(await ada.locator("#log b").count(), 0);
});

await check("all can be done without a mouse", async () => {
  await ada.goto(CONSOLE + "/");
  await ada.keyboard.press("Tab");
  assert.equal(await ada.evaluate(() => document.activeElement.textContent), "Skip to content");
  const to = async (text) => {
    for (let i = 0; i < 60; i++) {
      await ada.keyboard.press("Tab");
      const here = await ada.evaluate(() => {
        const e = document.activeElement, r = e.getBoundingClientRect(), s = getComputedStyle(e);
        return { text: e === document.body ? "" : (e.textContent || e.name || "").trim(), seen: e === document.body || r.width > 0 && s.outlineStyle !== "none" };
      });
      assert.ok(here.seen, `the focus is seen on ${here.text}`);
      if (here.text === text) return;
    }
    assert.fail(`no way by keyboard to ${text}`);
  };
  await to("Machines");
  await ada.keyboard.press("Enter");
  await ada.waitForURL(CONSOLE + "/machines");
  await to("q");
  await ada.keyboard.type("worker-1");
  await ada.waitForURL(/q=worker-1/);
  await ada.locator("tbody tr").nth(1).waitFor({ state: "detached" });
  await to("demo-worker-1");
  await ada.keyboard.press("Enter");
  await ada.waitForURL(CONSOLE + "/machines/demo-worker-1");
  await to("Keep new pods away");
  await ada.keyboard.press("Enter");
  await ada.getByText("Ready, takes no new pods").waitFor();
  await ada.getByRole("button", { name: "Let new pods come" }).press("Enter");
  await ada.getByRole("button", { name: "Keep new pods away" }).waitFor();
});

await check("the focus stays where it is while the page changes", async () => {
  await ada.goto(CONSOLE + "/contract");
  await ada.waitForTimeout(700);
  await ada.locator("[id='c-master.ingress.ssh']").focus();
  await change("count-more");
  await ada.locator("tr", { hasText: "master.ingress.ssh" }).getByText("2\u202f000\u202f137").waitFor();
  assert.equal(await ada.evaluate(() => document.activeElement.id), "c-master.ingress.ssh");
});

await check("while the way to the Console is broken the page stays, and says that it may be old", async () => {
  const page = await someone("ada"), machines = /\/machines/;
  await page.waitForTimeout(700);
  await page.route(machines, (route) => route.fulfill({ status: 502, body: "Bad Gateway" }));
  await change("break-machine");
  await page.getByText("What you see may be old").waitFor();
  assert.equal(await page.locator("tbody tr").count(), 5);
  await page.unroute(machines);
  await change("mend-machine");
  await page.getByText("What you see may be old").waitFor({ state: "hidden" });
  await page.context().close();
});

await check("a workload is restarted by its button", async () => {
  await ada.goto(CONSOLE + pages.deployment);
  await ada.getByRole("button", { name: "Restart its pods one by one" }).click();
  await ada.waitForURL(CONSOLE + pages.deployment);
  await change("was-restarted");
});

await check("without scripts all can be read", async () => {
  const plain = await someone("ada", { javaScriptEnabled: false });
  for (const path of Object.values(pages)) {
    assert.equal((await plain.goto(CONSOLE + path)).status(), 200, path);
    assert.ok((await plain.locator("#live").innerText()).trim().length > 20, path);
  }
  await plain.goto(CONSOLE + pages.log);
  await plain.getByText("request 39 of").waitFor();
  await plain.goto(CONSOLE + "/workloads");
  await plain.getByLabel("Filter", { exact: true }).fill("payments");
  await plain.getByRole("button", { name: "Filter" }).click();
  assert.equal(await plain.locator("tbody tr").count(), 1);
  await plain.context().close();
});

await check("nothing sticks out, on a phone's width and on a desk's", async () => {
  for (const viewport of [narrow, wide]) {
    const page = await someone("ada", { viewport });
    for (const path of Object.values(pages)) {
      await page.goto(CONSOLE + path);
      const [width, out] = await page.evaluate(() => {
        const main = document.getElementById("main").getBoundingClientRect();
        const wider = [...document.querySelectorAll("main table, main section, main form")].filter((e) => e.getBoundingClientRect().right > main.right);
        return [document.documentElement.scrollWidth, wider.map((e) => e.outerHTML.slice(0, 100))];
      });
      assert.ok(width <= viewport.width, `${path} is ${width} wide`);
      assert.deepEqual(out, [], `${path} at ${viewport.width}`);
    }
    await page.context().close();
  }
});

await check("somebody without rights reads a sentence, and sees no data", async () => {
  const nobody = await someone(null);
  await nobody.goto(CONSOLE + "/");
  await signIn(nobody, "nobody");
  await nobody.waitForURL(CONSOLE + "/");
  await nobody.getByText("You may not see how this cluster is.").waitFor();
  for (const [name, path] of Object.entries(pages)) {
    const answer = await nobody.goto(CONSOLE + path);
    if (name !== "overview") assert.equal(answer.status(), 403, path);
    const text = await nobody.locator("main").innerText();
    assert.match(text, /may not (list|read|see)/, path);
    for (const data of ["10.32.", "Ready", "registry.k8s.io", "tcp 22", "craton up"]) assert.ok(!text.includes(data), `${path} shows ${data}`);
  }
  assert.deepEqual(nobody.troubles, []);
  await nobody.context().close();
});

await check("somebody with the role view sees, and may not change", async () => {
  const vera = await someone("vera");
  await vera.goto(CONSOLE + "/machines/demo-worker-1");
  await vera.getByRole("button", { name: "Keep new pods away" }).click();
  await vera.getByText("vera@example.org may not patch nodes demo-worker-1").waitFor();
  await vera.context().close();
});

await check("somebody who signs out is out", async () => {
  await ada.goto(CONSOLE + "/");
  await ada.getByRole("button", { name: "Sign out" }).click();
  await ada.getByText("This browser does not know you any more.").waitFor();
  await ada.goto(CONSOLE + "/machines");
  assert.ok(!ada.url().startsWith(CONSOLE));
  assert.deepEqual(ada.troubles, []);
});

await browser.close();
// make bench reads these.
figures.push(`figure: console weight = ${heaviest}`, `figure: console usable = ${slowest / 1000}`);
console.log(figures.join("\n"));
