// The Console of a real cluster in a real browser, by the way that a person on the host has to it.
// A Go test (test/signin_test.go) runs this; each check is a sentence, and the first that does not
// hold ends it with 1.
//   CONSOLE  the Console's address      AT        HOST:PORT on this host that leads there
//   ADMIN, VIEWER, GUEST                people    ADMIN_PASSWORD, PASSWORD  theirs
//   MACHINES the machines' names, by spaces       CHROMIUM  the browser
//   SHOTS    a folder for screenshots, where these are wanted too
import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import { strict as assert } from "node:assert";
const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");

const { CONSOLE, AT, ADMIN, ADMIN_PASSWORD, VIEWER, GUEST, PASSWORD, CHROMIUM, SHOTS } = process.env;
const machines = process.env.MACHINES.split(" ");
const host = new URL(CONSOLE).hostname;
const wide = { width: 1280, height: 900 }, narrow = { width: 390, height: 844 };

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", `--host-resolver-rules=MAP ${host} ${AT}`] });

// someone has a browser of their own. The test itself verifies the certificate, by the cluster's
// authority, which this browser does not know.
async function someone(options = {}) {
  const context = await browser.newContext({ viewport: wide, ignoreHTTPSErrors: true, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(20000);
  const page = await context.newPage();
  page.troubles = [];
  page.on("pageerror", (e) => page.troubles.push(`${page.url()}: ${e.message}`));
  page.on("console", (m) => { if (m.type() === "error" && !/status of 40[13]/.test(m.text())) page.troubles.push(`${page.url()}: ${m.text()}`); });
  return page;
}

async function signIn(page, name, password, path = "/") {
  await page.goto(CONSOLE + path);
  assert.ok(page.url().startsWith(CONSOLE + "/dex/"), `it is Dex that asks for a password, not ${page.url()}`);
  await page.locator("input[name=login]").fill(name);
  await page.locator("input[name=password]").fill(password);
  await page.locator("button[type=submit]").click();
}

async function signedIn(name, password, path, options) {
  const page = await someone(options);
  await signIn(page, name, password, path);
  await page.waitForURL(CONSOLE + path);
  return page;
}

async function check(sentence, run) {
  const began = Date.now();
  try {
    await run();
  } catch (e) {
    console.log(`FAILED: ${sentence}\n${e.stack}`);
    for (const page of browser.contexts().flatMap((c) => c.pages())) {
      console.log(`${page.url()} shows\n${(await page.locator("body").innerText()).slice(0, 1000)}`);
    }
    await browser.close();
    process.exit(1);
  }
  console.log(`ok ${((Date.now() - began) / 1000).toFixed(1)}s  ${sentence}`);
}

let admin;
await check("a wrong password lets nobody in", async () => {
  const page = await someone();
  await signIn(page, VIEWER, "not " + PASSWORD);
  await page.locator("input[name=password]").waitFor();
  assert.ok(page.url().startsWith(CONSOLE + "/dex/"));
  await page.context().close();
});

await check("the first administrator signs in and sees the cluster's machines, all well", async () => {
  admin = await signedIn(ADMIN, ADMIN_PASSWORD, "/machines");
  assert.equal(await admin.locator("tbody tr").count(), machines.length);
  for (const name of machines) {
    await admin.locator("tr", { hasText: name }).getByText("Ready", { exact: true }).waitFor();
  }
});

let pod;
await check("each page shows the cluster, and what is in a Secret is on none", async () => {
  await admin.goto(CONSOLE + "/workloads?ns=kube-system");
  pod = await admin.getByRole("link", { name: /^console-/ }).first().getAttribute("href");
  for (const [path, says] of Object.entries({
    "/": /machines/i, [`/machines/${machines[0]}`]: /Kubelet/, [pod]: /craton-console|quay.io\/craton\/console/,
    "/contract": /master\.ingress\.ssh/, "/operations": /up/, "/certificates": /kubernetes-ca/,
  })) {
    const answer = await admin.goto(CONSOLE + path);
    assert.equal(answer.status(), 200, path);
    assert.match(await admin.locator("main").innerText(), says, path);
    assert.ok(!/PRIVATE KEY|passwordHash|client-secret:/.test(await admin.content()), path);
  }
});

await check("a pod's log is live, from its own kubelet", async () => {
  await admin.goto(CONSOLE + pod.replace("/workloads/pods/", "/logs/"));
  await admin.locator("#log").getByText("the Console listens").first().waitFor();
});

await check("the contract's counters are the real ones, and move while they are looked at", async () => {
  await admin.goto(CONSOLE + "/contract");
  const counter = admin.locator("tr", { hasText: "master.ingress.tectonic" }).first().locator("td[data-label=Packets]");
  const read = async () => Number((await counter.innerText()).replace(/\D/g, "") || NaN);
  const before = await read();
  for (let i = 0; ; i++) {
    if (await read() > before) break; // the load balancer asks after the ingress all the time
    assert.ok(i < 100, `the counter stays at ${before}`);
    await admin.waitForTimeout(100);
  }
});

await check("somebody with the role view sees, and may not change", async () => {
  const page = await signedIn(VIEWER, PASSWORD, `/machines/${machines.at(-1)}`);
  await page.getByText("Kubelet").first().waitFor();
  await page.getByRole("button", { name: "Keep new pods away" }).click();
  await page.getByText(/may not patch nodes/).waitFor();
  await page.context().close();
});

await check("somebody without a role reads a sentence, and sees no data", async () => {
  const page = await signedIn(GUEST, PASSWORD, "/");
  await page.getByText("You may not see how this cluster is.").waitFor();
  for (const path of ["/machines", "/workloads", "/contract", "/certificates"]) {
    const answer = await page.goto(CONSOLE + path);
    assert.equal(answer.status(), 403, path);
    const text = await page.locator("main").innerText();
    for (const data of [...machines, "tcp 22"]) assert.ok(!text.includes(data), `${path} shows ${data}`);
  }
  await page.context().close();
});

if (SHOTS) {
  await check("screenshots are taken", async () => {
    mkdirSync(SHOTS, { recursive: true });
    const pages = { overview: "/", machines: "/machines", workloads: "/workloads?ns=kube-system", contract: "/contract", operations: "/operations" };
    for (const colorScheme of ["light", "dark"]) {
      for (const [size, viewport] of Object.entries({ wide, narrow })) {
        if (size === "wide" ? colorScheme === "dark" : colorScheme === "light") continue; // each once
        await admin.setViewportSize(viewport);
        await admin.emulateMedia({ colorScheme });
        for (const [name, path] of Object.entries(pages)) {
          await admin.goto(CONSOLE + path);
          await admin.waitForTimeout(400);
          await admin.screenshot({ path: `${SHOTS}/real-${name}-${size}-${colorScheme}.png` });
        }
      }
    }
    await admin.setViewportSize(wide);
    const page = await someone();
    await page.goto(CONSOLE + "/");
    await page.screenshot({ path: `${SHOTS}/real-sign-in-wide-light.png` });
    await page.context().close();
  });
}

await check("somebody who signs out is out, and no page had an error", async () => {
  await admin.goto(CONSOLE + "/");
  await admin.getByRole("button", { name: "Sign out" }).click();
  await admin.getByText("This browser does not know you any more.").waitFor();
  await admin.goto(CONSOLE + "/machines");
  assert.ok(admin.url().startsWith(CONSOLE + "/dex/"));
  assert.deepEqual(admin.troubles, []);
});

await browser.close();
