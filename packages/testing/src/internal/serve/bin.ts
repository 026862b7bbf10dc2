#!/usr/bin/env node
// The program `fake-ims`.
import { main } from "./main.ts"

main()
