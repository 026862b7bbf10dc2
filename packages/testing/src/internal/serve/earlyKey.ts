// Starts the key while the modules that are imported after this one load.
import { startRsaKey } from "../engine/rsaKey.ts"

startRsaKey()
