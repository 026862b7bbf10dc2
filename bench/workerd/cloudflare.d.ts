/** What the worker takes from the runtime: the bindings that run.ts sets. */
declare module "cloudflare:workers" {
  export const env: { readonly renewal: "background" | "inline"; readonly server: string }
}
