// A mutator for pairs of objects (fuzz/pair.h); a target includes it once.
//
// Random bytes seldom make an ELF file that is wrong in one place only, so the mutator knows where the fields are: it
// changes one section header, symbol or relocation, or some bytes of a section's contents, and leaves the rest alone.
#pragma once

#include <elf.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>

#include "fuzz/pair.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

using kpatch::Bytes;

struct Field {
  size_t offset = 0, size = 0;
};

// A number of the file in its own byte order; 0 beyond its end.
uint64_t number(const Bytes& file, size_t offset, size_t size) {
  if (offset > file.size || size > file.size - offset) return 0;
  const bool big_endian = file.size > EI_DATA && file.data[EI_DATA] == ELFDATA2MSB;
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) value = value << 8 | file.data[offset + (big_endian ? i : size - 1 - i)];
  return value;
}

Field field_of(size_t begin, std::initializer_list<size_t> sizes, std::minstd_rand& random) {
  size_t which = random() % sizes.size();
  for (size_t size : sizes) {
    if (which-- == 0) return {begin, size};
    begin += size;
  }
  return {};
}

// A field of the file, or a slice of a section; size 0 when the file is too broken to tell.
Field find_field(const Bytes& file, std::minstd_rand& random) {
  const size_t headers = number(file, offsetof(Elf64_Ehdr, e_shoff), 8);
  const size_t count = number(file, offsetof(Elf64_Ehdr, e_shnum), 2);
  if (count == 0 || headers >= file.size) return {};
  const size_t at = headers + random() % count * sizeof(Elf64_Shdr);
  if (random() % 4 == 0) return field_of(at, {4, 4, 8, 8, 8, 8, 4, 4, 8, 8}, random);
  const size_t begin = number(file, at + offsetof(Elf64_Shdr, sh_offset), 8);
  const size_t size = number(file, at + offsetof(Elf64_Shdr, sh_size), 8);
  if (size == 0 || begin >= file.size || size > file.size - begin) return {};
  const size_t entry = begin + random() % size;
  const size_t inside = (entry - begin) % std::max<size_t>(number(file, at + offsetof(Elf64_Shdr, sh_entsize), 8), 1);
  const uint64_t type = number(file, at + offsetof(Elf64_Shdr, sh_type), 4);
  if (type == SHT_SYMTAB) return field_of(entry - inside, {4, 1, 1, 2, 8, 8}, random);
  if (type == SHT_RELA) return field_of(entry - inside, {8, 4, 4, 8}, random);
  return {entry, 1 + random() % 8};
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  std::minstd_rand random(seed);
  const auto [orig, patched] = kpatch::split_pair(data, size);
  const Bytes& file = random() % 4 == 0 ? orig : patched;
  if (random() % 8 == 0 || file.size == 0) return LLVMFuzzerMutate(data, size, max_size);
  Field field = find_field(file, random);
  const auto begin = static_cast<size_t>(file.data - data);
  if (field.size == 0 || field.offset >= file.size) field = {random() % file.size, 4};
  field.size = std::min(field.size, file.size - field.offset);
  uint8_t* place = data + begin + field.offset;
  if (random() % 2 == 0) {
    // another small number: an index or an offset that exists, or just doesn't
    const bool big_endian = file.size > EI_DATA && file.data[EI_DATA] == ELFDATA2MSB;
    std::fill_n(place, field.size, uint8_t{0});
    place[big_endian ? field.size - 1 : 0] = static_cast<uint8_t>(random());
  } else {
    LLVMFuzzerMutate(place, field.size, field.size);
  }
  return size;
}
