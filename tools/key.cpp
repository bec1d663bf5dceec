#include <fcntl.h>
#include <openssl/crypto.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <memory>

#include "recorder/files.h"
#include "recorder/keys.h"
#include "recorder/signing.h"
#include "schema/error.h"
#include "tools/commands.h"
#include "tools/subcommands.h"
#include "tools/text.h"

namespace airr::tools {
namespace {

struct Options {
  bool passphrase = false, tpm = false, json = false;
  std::string output;

  Protection protection() const {
    return passphrase ? Protection::kPassphrase : tpm ? Protection::kTpm : Protection::kNone;
  }
};

void say(const KeyStore& keys) {
  std::cout
      << "made the key " << hex(keys.id().data(), keys.id().size()) << " in "
      << printable(keys.path()) << '\n'
      << "  public key  " << fingerprint(keys.publicKey())
      << " (airr key export-public writes it)\n"
      << "  keep a copy where nobody else reads it: traces cannot be verified with the root key\n"
      << "  when it is lost, only with the public key\n";
}

int show(const Options& options) {
  const std::string path = KeyStore::defaultPath();
  const KeyFile key = KeyStore::peek(path);
  if (options.json) {
    std::cout << dump({{"path", jsonText(path)},
                       {"id", hex(key.id.data(), key.id.size())},
                       {"publicKey", hex(key.publicKey.data(), key.publicKey.size())},
                       {"fingerprint", fingerprint(key.publicKey)},
                       {"protection", toString(key.protection)}})
              << '\n';
    return 0;
  }
  std::cout << "key           " << hex(key.id.data(), key.id.size()) << '\n'
            << "  file        " << printable(path) << '\n'
            << "  protection  " << toString(key.protection) << '\n'
            << "  public key  " << fingerprint(key.publicKey) << '\n';
  return 0;
}

int writePublic(const std::string& pem, const std::string& output) {
  if (output.empty()) {
    std::cout << pem;
    return 0;
  }
  std::ofstream file(output, std::ios::binary | std::ios::trunc);
  file << pem;
  file.close();
  if (!file) throw systemError("cannot write '" + output + "'");
  return 0;
}

int exportPublic(const Options& options) {
  return writePublic(toPem(KeyStore::peek(KeyStore::defaultPath()).publicKey), options.output);
}

int exportRecipient(const Options& options) {
  const KeyStore keys = KeyStore::load(KeyStore::defaultPath(), false);
  return writePublic(recipientToPem(keys.identity().recipient()), options.output);
}

int newIdentity(const Options& options) {
  const Identity identity = Identity::generate();
  std::string pem = identity.toPem();
  const UniqueFd file =
      openOwn(options.output, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY, 0600);
  const bool written =
      file && writeWhole(file.get(), {{reinterpret_cast<const uint8_t*>(pem.data()), pem.size()}}) &&
      ::fsync(file.get()) == 0;
  OPENSSL_cleanse(pem.data(), pem.size());
  if (!written) throw systemError("cannot create '" + options.output + "'", errno, "choose another name");
  const std::string open = options.output + ".pub";
  writePublic(recipientToPem(identity.recipient()), open);
  std::cout << "made the key " << fingerprint(identity.recipient()) << '\n'
            << "  private key  " << printable(options.output)
            << ", to read with (--identity); keep it out of sessions' reach\n"
            << "  public key   " << printable(open) << ", to encrypt with (--encrypt-to)\n";
  return 0;
}

}  // namespace

Command addKey(CLI::App& app) {
  auto options = std::make_shared<Options>();
  Subcommands<Options> commands(app, options);
  auto addProtection = [&](CLI::App* sub) {
    auto* passphrase = sub->add_flag("--passphrase", options->passphrase,
                                     "Seal the key with a passphrase (scrypt)");
    sub->add_flag("--tpm", options->tpm, "Seal the key with this host's TPM 2.0 (tpm2-tools)")
        ->excludes(passphrase);
  };
  addProtection(commands.add("init", "Make a key where there is none.", [](const Options& o) {
    say(KeyStore::create(KeyStore::defaultPath(), o.protection()));
    return 0;
  }));
  addProtection(
      commands.add("rotate", "Make another key; the former stays for its traces.", [](const Options& o) {
        say(KeyStore::rotate(KeyStore::defaultPath(), o.protection()));
        return 0;
      }));
  commands.add("show", "Show which key it is, not what it is.", show)
      ->add_flag("--json", options->json, "Print one JSON object");
  commands.add("export-public", "Write the public key, with which anyone can verify, in PEM.", exportPublic)
      ->add_option("file", options->output, "Where to; standard output if it is not given")
      ->type_name("FILE");
  commands.add("export-recipient", "Write the public key with which others encrypt to this key store, in PEM.",
      exportRecipient)
      ->add_option("file", options->output, "Where to; standard output if it is not given")
      ->type_name("FILE");
  commands.add("new-identity", "Make a key pair of its own for reading what is encrypted, in PEM.",
      newIdentity)
      ->add_option("file", options->output, "Private key to write; the public one gets .pub")
      ->type_name("FILE")
      ->required();
  app.footer(
      "The key is in $AIRR_KEY_FILE, else $XDG_DATA_HOME/airr/root.key, else\n"
      "~/.local/share/airr/root.key. A passphrase is asked for, or is the first line of\n"
      "$AIRR_PASSPHRASE_FILE.");
  return commands.command();
}

}  // namespace airr::tools
