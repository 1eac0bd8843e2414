import { Hono } from "hono";
import { Refused } from "../errors.ts";
import { OPERATIONS } from "../operations/registry.ts";
import { checkMasterKeys } from "../store/secrets.ts";
import { approveRoutes } from "./approve.tsx";
import { consoleRoutes } from "./console/routes.ts";
import { docsAnswer } from "./docs-page.tsx";
import { errorAnswer, refusalAnswer } from "./error-answers.ts";
import { healthAnswer } from "./health.ts";
import { openApiDocument } from "./openapi.ts";
import { addRest, routerPath } from "./rest.ts";
import { addRpc, rpcPaths } from "./rpc.ts";
import { securityHeaders } from "./security-headers.ts";
import type { AppEnvironment, DoorDependencies } from "./serve.ts";
import { resealAnswer, setupAnswer } from "./setup.ts";
import { unsubscribeRoutes } from "./unsubscribe.tsx";
import { verifyAuditRoutes, verifyRoutes } from "./verify.tsx";
import { addWellKnown, WELL_KNOWN_PATHS } from "./well-known.ts";

/** Which methods each path of an operation takes. */
function methodsByPath(): Map<string, Set<string>> {
  const methods = new Map<string, Set<string>>();
  const add = (path: string, method: string) => methods.set(path, (methods.get(path) ?? new Set()).add(method));
  for (const { name, rest } of OPERATIONS) {
    for (const path of rpcPaths(name)) add(path, "POST");
    for (const { method, path } of rest) add(routerPath(path), method);
  }
  for (const path of ["/health", "/v1/openapi.json", "/docs", ...WELL_KNOWN_PATHS]) add(path, "GET");
  return methods;
}

/** What a path that is known, but not with this method, answers (RFC 9110 §15.5.6). */
function addMethodNotAllowed(app: Hono<AppEnvironment>): void {
  for (const [path, methods] of methodsByPath()) {
    const allow = [...methods, ...(methods.has("GET") ? ["HEAD"] : [])].join(", ");
    app.all(path, (context) =>
      refusalAnswer(
        { code: "method_not_allowed", error: `${context.req.method} is not served here, but ${allow}.` },
        { Allow: allow },
      ),
    );
  }
}

function refuseWithoutMasterKey(app: Hono<AppEnvironment>): void {
  app.use(async (context, next) => {
    try {
      checkMasterKeys(context.env);
    } catch (error) {
      return errorAnswer(
        new Refused("unavailable", error instanceof Error ? error.message : "MASTER_KEY is not usable."),
        "start",
      );
    }
    await next();
  });
}

/** @returns the worker's HTTP side: every operation at its doors, and the public pages. */
export function createApp(dependencies: DoorDependencies): Hono<AppEnvironment> {
  const app = new Hono<AppEnvironment>();
  app.onError((error, context) => errorAnswer(error, `a ${context.req.method} request`));
  app.notFound(() =>
    refusalAnswer({
      code: "not_found",
      error: "There is nothing at this path.",
      hint: "GET /docs lists what there is.",
    }),
  );
  app.use(securityHeaders);
  refuseWithoutMasterKey(app);
  app.get("/health", (context) => healthAnswer(context.env));
  app.get("/v1/openapi.json", (context) => context.json(openApiDocument(context.env.PUBLIC_URL)));
  app.get("/docs", () => docsAnswer());
  app.post("/setup", (context) => setupAnswer(context.req.raw, context.env, dependencies));
  app.post("/setup/reseal", (context) => resealAnswer(context.req.raw, context.env));
  addWellKnown(app, dependencies);
  app.route("/", approveRoutes(dependencies.now));
  app.route("/", consoleRoutes(dependencies));
  app.route("/", verifyRoutes());
  app.route("/", verifyAuditRoutes());
  app.route("/", unsubscribeRoutes());
  addRest(app, dependencies);
  addRpc(app, dependencies);
  addMethodNotAllowed(app);
  return app;
}
