#!/usr/bin/env node
// The program `fake-ims`. The first import comes first for its effect.
import "./earlyKey.ts"
import { main } from "./main.ts"

main()
