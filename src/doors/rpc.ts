import type { Hono } from "hono";
import { OPERATIONS } from "../operations/registry.ts";
import { type AppEnvironment, type DoorDependencies, serve } from "./serve.ts";

/** @returns the paths at which an operation is called by name. */
export function rpcPaths(name: string): string[] {
  return [`/v1/${name}`, `/${name}`];
}

/** Serves every operation by its name: POST with a JSON body that has the path parameters among its fields. */
export function addRpc(app: Hono<AppEnvironment>, dependencies: DoorDependencies): void {
  for (const operation of OPERATIONS) {
    for (const path of rpcPaths(operation.name))
      app.post(path, (context) => serve(context, operation, {}, dependencies));
  }
}
