// Seals the root key by this host's TPM 2.0, through the programs of tpm2-tools: the key file is of
// no use on another host. TPM2TOOLS_TCTI says where the TPM is, as tpm2-tools(1) describes it.
//
// Ownership: nothing but temporary files without secrets. Any thread.
// Failure: Error (kFailure) that says what is missing: the programs, the TPM, or its consent.
#pragma once

#include <memory>

#include "recorder/key_file.h"

namespace airr {

std::unique_ptr<KeyProtector> newTpmProtector();

}  // namespace airr
