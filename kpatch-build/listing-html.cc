// Both sides of a function as a table
//
//      35  seq_printf(m, "…");             36  seq_printf(m, "…");       a source line, where the next one begins
//     +2f  call seq_printf                +2f  call seq_printf
//     +34  jne  L1                        +34  jne  L1                   the same label: the same row
//                                    …
//  L1 +60  ret                         L1 +64  ret
//
// Four cells a row, and no more markup than that: there may be hundreds of functions.
#include "kpatch-build/listing-html.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <unordered_map>

#include "kpatch-build/side-by-side.h"
#include "support/html.h"

namespace kpatch {
namespace {

constexpr size_t context = 6;

std::string counted(size_t number, std::string_view thing) {
  return fmt::format("{} {}{}", number, thing, number == 1 ? "" : "s");
}

class Table {
 public:
  Table(const FunctionListing& listing, const std::string& id, const ListingLimits& limits)
      : listing_(listing), id_(id), limits_(limits), rows_(side_by_side(listing)) {
    number_labels();
  }

  ListingHtml html() {
    for (const SideBySideRow& row : rows_) {
      if (!row.differs) continue;
      result_.gone += row.original ? 1 : 0;
      result_.added += row.patched ? 1 : 0;
    }
    result_.text =
        "<div class=wide><table class=code><colgroup><col class=at><col><col class=at><col></colgroup>"
        "<thead><tr><th colspan=2>original<th colspan=2>patched</thead>\n";
    const bool all = rows_.size() <= limits_.equal_rows;
    for (const RowRun& run : runs_of(rows_, context)) write(run, all);
    if (left_out_ != 0)
      gap(fmt::format("{} more, left out: the function differs in too many places to be shown here",
                      counted(left_out_, "instruction")),
          false);
    result_.text += "</table></div>\n";
    return std::move(result_);
  }

 private:
  void number_labels() {
    std::unordered_map<uint64_t, size_t> original, patched;
    for (size_t r = 0; r < rows_.size(); ++r) {
      if (rows_[r].original) original[listing_.original[*rows_[r].original].offset] = r;
      if (rows_[r].patched) patched[listing_.patched[*rows_[r].patched].offset] = r;
    }
    labels_.assign(rows_.size(), 0);
    const auto mark = [&](const std::vector<ListedLine>& lines, const std::unordered_map<uint64_t, size_t>& row_of,
                          std::vector<size_t>& targets) {
      targets.assign(lines.size(), rows_.size());
      for (size_t i = 0; i < lines.size(); ++i) {
        const auto found = lines[i].to ? row_of.find(*lines[i].to) : row_of.end();
        if (found == row_of.end()) continue;
        targets[i] = found->second;
        labels_[found->second] = 1;
      }
    };
    mark(listing_.original, original, original_targets_);
    mark(listing_.patched, patched, patched_targets_);
    size_t next = 0;
    for (size_t& label : labels_)
      if (label != 0) label = ++next;
  }

  void gap(const std::string& text, bool can_show) {
    result_.text +=
        fmt::format("<tbody{}><tr class=gap><td colspan=4>{}</tbody>\n", can_show ? " class=gap" : "", text);
  }

  void write(const RowRun& run, bool all) {
    const size_t count = run.end - run.begin;
    if (!run.shown) {
      const std::string text = fmt::format("⋯ {} alike", counted(count, "instruction"));
      if (!all) {
        skip_sources(run);
        return gap(text + ", left out of this large function", false);
      }
      result_.folds = true;
      gap(text, true);
    }
    result_.text += run.shown ? "<tbody>" : "<tbody class=same>";
    for (size_t r = run.begin; r < run.end; ++r) {
      if (!all && result_.rows >= limits_.shown_rows) {
        ++left_out_;
        continue;
      }
      source_row(rows_[r], r == run.begin && r != 0);
      row(r);
      ++result_.rows;
    }
    result_.text += "</tbody>\n";
  }

  // A side: its lines, and where in the source it is.
  struct Side {
    const std::vector<ListedLine>& lines;
    const ListedSource* source = nullptr;
    std::string file{};  // as it was shown last
  };

  // Rows that aren't written pass source lines too.
  void skip_sources(const RowRun& run) {
    for (size_t r = run.begin; r < run.end; ++r) {
      advance(original_, rows_[r].original);
      advance(patched_, rows_[r].patched);
    }
  }
  // Whether another source line begins there.
  static bool advance(Side& side, const std::optional<size_t>& line) {
    if (!line || !side.lines[*line].source) return false;
    side.source = &*side.lines[*line].source;
    return true;
  }

  // after_gap: says where it is, whether or not a line begins here.
  void source_row(const SideBySideRow& row, bool after_gap) {
    const bool before = advance(original_, row.original), after = advance(patched_, row.patched);
    if (after_gap) original_.file.clear(), patched_.file.clear();
    const bool show_original = before || (after_gap && row.original && original_.source != nullptr);
    const bool show_patched = after || (after_gap && row.patched && patched_.source != nullptr);
    if (!show_original && !show_patched) return;
    result_.text += "<tr class=s>";
    source_cells(original_, show_original);
    source_cells(patched_, show_patched);
    result_.text += '\n';
  }

  void source_cells(Side& side, bool show) {
    if (!show) {
      result_.text += "<td><td>";
      return;
    }
    const ListedSource& source = *side.source;
    result_.text += "<td>";
    if (source.file != side.file) fmt::format_to(std::back_inserter(result_.text), "<i> </i>");
    fmt::format_to(std::back_inserter(result_.text), "{}<td>", source.line);
    if (source.file != side.file)
      fmt::format_to(std::back_inserter(result_.text), "<i>{}</i>", escaped_html(source.file));
    side.file = source.file;
    result_.text += escaped_html(source.text);
  }

  void row(size_t r) {
    const SideBySideRow& row = rows_[r];
    result_.text += "<tr>";
    cells(r, row.original ? &listing_.original[*row.original] : nullptr,
          row.original ? original_targets_[*row.original] : rows_.size(), row.differs ? "d" : "", true);
    cells(r, row.patched ? &listing_.patched[*row.patched] : nullptr,
          row.patched ? patched_targets_[*row.patched] : rows_.size(), row.differs ? "a" : "", false);
    result_.text += '\n';
  }

  // The label is an anchor once a row, on the first side that is there.
  void cells(size_t r, const ListedLine* line, size_t target, std::string_view kind, bool left) {
    auto out = std::back_inserter(result_.text);
    if (line == nullptr) {
      result_.text += "<td class=n><td class=n>";
      return;
    }
    result_.text += "<td>";
    if (labels_[r] != 0) {
      if (left || !rows_[r].original)
        fmt::format_to(out, "<span id={}-{}>L{}</span> ", id_, labels_[r], labels_[r]);
      else
        fmt::format_to(out, "L{} ", labels_[r]);
    }
    fmt::format_to(out, "+{:x}<td{}>", line->offset, kind.empty() ? "" : fmt::format(" class={}", kind));
    const std::string_view text = line->text;
    const size_t mnemonic = std::min(text.find(' '), text.size());
    fmt::format_to(out, "<b>{}</b>{}", escaped_html(text.substr(0, mnemonic)), escaped_html(text.substr(mnemonic)));
    if (target < rows_.size()) fmt::format_to(out, " <a href=#{0}-{1}>L{1}</a>", id_, labels_[target]);
  }

  const FunctionListing& listing_;
  const std::string& id_;
  const ListingLimits& limits_;
  std::vector<SideBySideRow> rows_;
  std::vector<size_t> labels_;  // by row; 0: no branch leads there
  std::vector<size_t> original_targets_, patched_targets_;
  Side original_{listing_.original}, patched_{listing_.patched};
  size_t left_out_ = 0;
  ListingHtml result_{};
};

}  // namespace

ListingHtml listing_html(const FunctionListing& listing, const std::string& id, const ListingLimits& limits) {
  return Table(listing, id, limits).html();
}

}  // namespace kpatch
