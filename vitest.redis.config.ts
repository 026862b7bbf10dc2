import { defineConfig } from "vitest/config"

// The tests that need a Redis server. They are not part of `pnpm test`, which needs nothing but git, Node and npm.
export default defineConfig({
  test: { include: ["packages/store-redis/test/*.redis.ts"], testTimeout: 60_000, hookTimeout: 30_000 }
})
