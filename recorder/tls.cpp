#include "recorder/tls.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <cerrno>
#include <climits>

#include "schema/error.h"

namespace airr {
namespace {

void require(bool ok) {
  if (!ok) throw Error(ExitCode::kFailure, "OpenSSL cannot set up TLS");
}

// What went wrong in OpenSSL last, in its words.
std::string reason() {
  const char* text = ERR_reason_error_string(ERR_peek_last_error());
  return text != nullptr ? text : "the connection ended";
}

int socketOf(BIO* bio) { return static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio))); }

// A socket to which writing raises no SIGPIPE, unlike OpenSSL's own.
const BIO_METHOD* quietSocket() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "quiet socket");
    require(made != nullptr);
    BIO_meth_set_write(made, [](BIO* bio, const char* from, int size) {
      ssize_t n;
      do n = ::send(socketOf(bio), from, static_cast<size_t>(size), MSG_NOSIGNAL);
      while (n < 0 && errno == EINTR);
      return static_cast<int>(n);
    });
    BIO_meth_set_read(made, [](BIO* bio, char* to, int size) {
      ssize_t n;
      do n = ::recv(socketOf(bio), to, static_cast<size_t>(size), 0);
      while (n < 0 && errno == EINTR);
      return static_cast<int>(n);
    });
    BIO_meth_set_ctrl(made, [](BIO*, int command, long, void*) -> long {
      return command == BIO_CTRL_FLUSH ? 1 : 0;
    });
    return made;
  }();
  return method;
}

// With the trusted authorities, read once.
SSL_CTX* context() {
  static SSL_CTX* const made = [] {
    // Signatures of certificates are looked up by these names, which recorder/digest.cpp keeps
    // OpenSSL from setting up.
    for (const EVP_MD* digest : {EVP_sha256(), EVP_sha384(), EVP_sha512()}) EVP_add_digest(digest);
    SSL_CTX* fresh = SSL_CTX_new(TLS_client_method());
    require(fresh != nullptr);
    require(SSL_CTX_set_min_proto_version(fresh, TLS1_2_VERSION) == 1);
    require(SSL_CTX_set_default_verify_paths(fresh) == 1);
    SSL_CTX_set_verify(fresh, SSL_VERIFY_PEER, nullptr);
    return fresh;
  }();
  return made;
}

}  // namespace

class TlsConnection::Impl {
 public:
  Impl(int socket, const std::string& host) : ssl_(SSL_new(context())) {
    require(ssl_ != nullptr);
    BIO* const bio = BIO_new(quietSocket());
    require(bio != nullptr);
    BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(socket)));
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);  // which owns it from here on
    in6_addr address;
    const bool isAddress = ::inet_pton(AF_INET, host.c_str(), &address) == 1 ||
                           ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
    if (isAddress) {
      require(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), host.c_str()) == 1);
    } else {
      require(SSL_set1_host(ssl_.get(), host.c_str()) == 1 &&
              SSL_set_tlsext_host_name(ssl_.get(), host.c_str()) == 1);
    }
    ERR_clear_error();
    if (SSL_connect(ssl_.get()) == 1) return;
    const long verified = SSL_get_verify_result(ssl_.get());
    throw Error(ExitCode::kFailure, verified != X509_V_OK
                                        ? std::string("its certificate is not good: ") +
                                              X509_verify_cert_error_string(verified)
                                        : "no TLS connection: " + reason());
  }

  ~Impl() {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
  }

  bool send(std::string_view text) {
    ERR_clear_error();
    size_t sent = 0;
    // Without SSL_MODE_ENABLE_PARTIAL_WRITE it is all or nothing (SSL_write(3)).
    if (SSL_write_ex(ssl_.get(), text.data(), text.size(), &sent) == 1) return true;
    if (errno == 0) errno = ECONNABORTED;
    return false;
  }

  ssize_t receive(std::span<char> to) {
    ERR_clear_error();
    errno = 0;
    size_t got = 0;
    if (SSL_read_ex(ssl_.get(), to.data(), to.size(), &got) == 1) return static_cast<ssize_t>(got);
    if (SSL_get_error(ssl_.get(), 0) == SSL_ERROR_ZERO_RETURN) return 0;
    if (errno == 0) errno = ECONNABORTED;
    return -1;
  }

 private:
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  std::unique_ptr<SSL, Free> ssl_;
};

TlsConnection::TlsConnection(int socket, const std::string& host)
    : impl_(std::make_unique<Impl>(socket, host)) {}
TlsConnection::~TlsConnection() = default;
bool TlsConnection::send(std::string_view text) { return impl_->send(text); }
ssize_t TlsConnection::receive(std::span<char> to) { return impl_->receive(to); }

}  // namespace airr
