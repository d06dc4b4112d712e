#include "arch/capstone-listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#if KPATCH_CAPSTONE
#include <capstone/capstone.h>
#endif

namespace kpatch {
namespace {

std::string as_number(std::span<const std::byte> code, uint64_t at, uint64_t length, bool big_endian) {
  std::string digits;
  for (uint64_t i = 0; i < length; ++i)
    digits += fmt::format("{:02x}", std::to_integer<unsigned>(code[at + (big_endian ? i : length - 1 - i)]));
  return ".inst 0x" + digits;
}

#if KPATCH_CAPSTONE

struct Dialect {
  cs_arch arch;
  cs_mode mode;
};

Dialect dialect_of(CapstoneDialect dialect) {
  switch (dialect) {
    case CapstoneDialect::arm64:
      return {CS_ARCH_ARM64, CS_MODE_LITTLE_ENDIAN};
    case CapstoneDialect::ppc64le:
      return {CS_ARCH_PPC, static_cast<cs_mode>(CS_MODE_64 | CS_MODE_LITTLE_ENDIAN)};
    case CapstoneDialect::s390x:
      break;
  }
  return {CS_ARCH_SYSZ, CS_MODE_BIG_ENDIAN};
}

class Disassembler {
 public:
  explicit Disassembler(Dialect dialect) { open_ = cs_open(dialect.arch, dialect.mode, &handle_) == CS_ERR_OK; }
  Disassembler(const Disassembler&) = delete;
  Disassembler& operator=(const Disassembler&) = delete;
  ~Disassembler() {
    if (open_) cs_close(&handle_);
  }

  // "ldr" and "x1, [x1]" of the one instruction that these bytes are; two empty texts when they are none.
  std::pair<std::string, std::string> read(std::span<const std::byte> bytes) const {
    cs_insn* instruction = nullptr;
    const size_t count =
        open_ ? cs_disasm(handle_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), 0, 1, &instruction)
              : 0;
    std::pair<std::string, std::string> text;
    if (count == 1 && instruction->size == bytes.size()) text = {instruction->mnemonic, instruction->op_str};
    cs_free(instruction, count);
    return text;
  }

 private:
  csh handle_ = 0;
  bool open_ = false;
};

const Disassembler& disassembler(CapstoneDialect dialect) {
  thread_local std::map<CapstoneDialect, Disassembler> all;
  return all.try_emplace(dialect, dialect_of(dialect)).first->second;
}

// "x1, [x1, #8]": the operands, as they are separated by commas outside of brackets.
std::vector<std::string> operands_of(std::string_view text) {
  std::vector<std::string> operands;
  int depth = 0;
  for (const char c : text) {
    depth += c == '[' || c == '(' || c == '{' ? 1 : c == ']' || c == ')' || c == '}' ? -1 : 0;
    if (c == ',' && depth == 0) {
      operands.emplace_back();
    } else {
      if (operands.empty()) operands.emplace_back();
      if (c != ' ' || !operands.back().empty()) operands.back() += c;
    }
  }
  return operands;
}

bool is_number(std::string_view operand) {
  if (operand.starts_with('#')) operand.remove_prefix(1);
  if (operand.starts_with('-')) operand.remove_prefix(1);
  return !operand.empty() && operand.front() >= '0' && operand.front() <= '9' && !operand.ends_with(')');
}

// What the field means stands where its number is: the last number, or within the operand in memory.
//
//   [x1]  [x1, #0]     [x1, jiffies]
//   0(r9)              jiffies(r9)
//   #0, lsl #16        #jiffies, lsl #16
void insert(std::vector<std::string>& operands, const std::string& meaning) {
  const auto number =
      std::find_if(operands.rbegin(), operands.rend(), [](const auto& operand) { return is_number(operand); });
  const auto memory = std::find_if(operands.rbegin(), operands.rend(), [](const auto& operand) {
    return operand.starts_with('[') || operand.ends_with(')');
  });
  if (memory != operands.rend() && memory->starts_with('[')) {
    const size_t comma = memory->find(','), end = memory->rfind(']');
    if (end == std::string::npos) return operands.push_back(meaning);
    *memory = memory->substr(0, std::min(comma, end)) + ", " + meaning + memory->substr(end);
  } else if (memory != operands.rend()) {
    *memory = meaning + memory->substr(memory->find('('));
  } else if (number != operands.rend()) {
    *number = meaning;
  } else {
    operands.push_back(meaning);
  }
}

#endif

}  // namespace

std::optional<ListedInstruction> list_by_capstone(CapstoneDialect dialect, std::span<const std::byte> code, uint64_t at,
                                                  const ListedShape& shape) {
  if (shape.length == 0 || at > code.size() || shape.length > code.size() - at) return std::nullopt;
  ListedInstruction listed{{}, shape.length, {}};
#if KPATCH_CAPSTONE
  const auto [mnemonic, text] = disassembler(dialect).read(code.subspan(at, shape.length));
  if (!mnemonic.empty()) {
    std::vector<std::string> operands = operands_of(text);
    if (shape.meaning) {
      insert(operands, *shape.meaning);
    } else if (shape.branch) {
      listed.branch = shape.branch;
      if (!operands.empty() && is_number(operands.back())) operands.pop_back();
    }
    listed.text = mnemonic;
    for (size_t i = 0; i < operands.size(); ++i) listed.text += (i == 0 ? " " : ", ") + operands[i];
    return listed;
  }
#endif
  listed.text = as_number(code, at, shape.length, dialect == CapstoneDialect::s390x);
  if (shape.meaning)
    listed.text += " " + *shape.meaning;
  else
    listed.branch = shape.branch;
  return listed;
}

}  // namespace kpatch
