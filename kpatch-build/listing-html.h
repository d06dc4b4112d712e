// A listing as a part of the page.
#pragma once

#include <cstddef>
#include <string>

#include "kpatch-build/listings.h"

namespace kpatch {

// How much of a listing is written; what is left out is said in its place.
struct ListingLimits {
  size_t equal_rows = 1500;  // with more rows than these only those that differ, and some around them, are written …
  size_t shown_rows = 3000;  // … of them at most these
};

struct ListingHtml {
  std::string text;            // a <div> with the table
  size_t rows = 0;             // instructions in it
  size_t gone = 0, added = 0;  // instructions that differ, on the left and on the right
  bool folds = false;          // equal code is there, and hidden at first
};

// id: a name that no other part of the page has.
ListingHtml listing_html(const FunctionListing& listing, const std::string& id, const ListingLimits& limits);

}  // namespace kpatch
