// A library that only the RUNPATH of shim_probe finds.
int shimPluginAnswer(void) { return 42; }
