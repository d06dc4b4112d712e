// Numbers in either byte order.
#include "support/bytes.h"

#include <gtest/gtest.h>

#include <array>

namespace kpatch {
namespace {

constexpr std::array bytes = {std::byte{0x01}, std::byte{0x02}, std::byte{0x03}, std::byte{0xff}};

TEST(Bytes, AreReadInTheOrderGiven) {
  EXPECT_EQ(number_of(bytes, true), 0x010203ffU);
  EXPECT_EQ(number_of(bytes, false), 0xff030201U);
  EXPECT_EQ(number_of(std::span(bytes).first(1), true), 1U);
  EXPECT_EQ(number_of({}, true), 0U);
}

TEST(Bytes, AreWrittenInTheOrderGiven) {
  for (const bool big_endian : {false, true})
    for (const size_t size : {1, 2, 4, 8}) {
      std::vector<std::byte> written = {std::byte{7}};
      append_number(written, 0x1122334455667788, size, big_endian);
      ASSERT_EQ(written.size(), size + 1);
      EXPECT_EQ(written[0], std::byte{7});
      EXPECT_EQ(number_of(std::span(written).subspan(1), big_endian),
                size == 8 ? 0x1122334455667788 : 0x1122334455667788 & ((uint64_t{1} << 8 * size) - 1));
    }
}

}  // namespace
}  // namespace kpatch
