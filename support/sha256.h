// SHA-256, 64 hex digits: what others know a file by. SHA-384, 96 of them: what the registers of confidential machines are
// extended by. SHA-1, 40: what SPDX wants beside; it proves nothing.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace kpatch {

std::string sha256_of(std::string_view bytes);
// Of a file's contents, of any size. Throws Error when it can't be read.
std::string sha256_of_file(const std::filesystem::path& file);
std::string sha384_of(std::string_view bytes);
std::string sha1_of(std::string_view bytes);
// Bytes as lower-case hex digits.
std::string hex_of(std::string_view bytes);
// The bytes that hex digits of either case stand for; empty when something else is among them, or one too many.
std::string bytes_of_hex(std::string_view text);

}  // namespace kpatch
