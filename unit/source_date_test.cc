// SOURCE_DATE_EPOCH: one reading of it for all programs.
#include "support/source-date.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "support/error.h"

namespace kpatch {
namespace {

TEST(SourceDate, SecondsOrAnError) {
  unsetenv("SOURCE_DATE_EPOCH");
  EXPECT_FALSE(source_date_epoch());
  setenv("SOURCE_DATE_EPOCH", "", 1);
  EXPECT_FALSE(source_date_epoch());
  for (const char* good : {"0", "1700000000", "253402300799"}) {
    setenv("SOURCE_DATE_EPOCH", good, 1);
    EXPECT_EQ(source_date_epoch(), std::atoll(good));
  }
  for (const char* bad : {"abc", "-1", "1.5", "12x", " 1", "253402300800", "99999999999999999999"}) {
    setenv("SOURCE_DATE_EPOCH", bad, 1);
    EXPECT_THROW(source_date_epoch(), Error) << bad;
  }
  unsetenv("SOURCE_DATE_EPOCH");
}

}  // namespace
}  // namespace kpatch
