import { it } from "@effect/vitest"
import { readThroughMetadataOutages } from "./support.ts"

it.effect(
  "fails three reads alike in each outage of the metadata service, and then recovers, with a managed identity",
  () => readThroughMetadataOutages
)
