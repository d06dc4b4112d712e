// OpenSSL's objects with owners, and its errors as ours.
#pragma once

#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>

namespace kpatch {

template <auto release>
struct Released {
  template <typename T>
  void operator()(T* object) const {
    release(object);
  }
};
using Bio = std::unique_ptr<BIO, Released<BIO_free_all>>;
using Cms = std::unique_ptr<CMS_ContentInfo, Released<CMS_ContentInfo_free>>;

// A BIO that reads these bytes, which must outlive it.
Bio bio_of(std::string_view bytes);
// What was written to a memory BIO; a view into it.
std::string_view bytes_of(const Bio& bio);

// Throws Error: "WHAT: OpenSSL's first reason".
[[noreturn]] void openssl_failed(const std::string& what);

}  // namespace kpatch
