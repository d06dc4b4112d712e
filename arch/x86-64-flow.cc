// Where the address of a constant goes, in x86-64 code
//
//   48 c7 c7 00 00 00 00   R_X86_64_32S  .rodata.quirks    mov $quirks, %rdi        rdi
//   e8 00 00 00 00         R_X86_64_PLT32 dmi_first_match  call dmi_first_match     rax, since it returns one of them
//   48 85 c0                                               test %rax, %rax          rax
//   74 08                                                  je …                     rax, on both ways
//   8b 80 48 01 00 00                                      mov 0x148(%rax), %eax    none: what lies there was read
//
// From the instruction that makes the address on, each register that may hold it, or a place near it, is followed along
// every way through the function. Good is only what is known to be: reading through it, moving it on, comparing it with
// itself or with a number, handing it to a function that is known not to keep it. All else (a store, even to the
// stack; a return; an indirect jump; an instruction that isn't known) ends the search with "no".
#include "arch/x86-64-flow.h"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <vector>

namespace kpatch {
namespace {

using Registers = uint32_t;  // a bit for each general register, by its number

constexpr Registers bit(unsigned number) { return Registers{1} << number; }

// System V ABI, AMD64 supplement, 3.2.1 and 3.2.3: numbers as instructions encode them.
constexpr unsigned rax = 0, rdx = 2, rsp = 4;
constexpr std::array<unsigned, 6> arguments = {7, 6, 2, 1, 8, 9};  // rdi, rsi, rdx, rcx, r8, r9
constexpr Registers clobbered = bit(0) | bit(1) | bit(2) | bit(6) | bit(7) | bit(8) | bit(9) | bit(10) | bit(11);

// The number of the general register that holds this one; nothing for others (flags, xmm, segments).
std::optional<unsigned> general(ZydisRegister r) {
  const ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);
  if (ZydisRegisterGetClass(whole) != ZYDIS_REGCLASS_GPR64) return std::nullopt;
  return static_cast<unsigned>(ZydisRegisterGetId(whole));
}

Registers bits_of(ZydisRegister r) {
  const auto number = general(r);
  return number ? bit(*number) : 0;
}

struct Instruction {
  ZydisDecodedInstruction decoded;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
  uint64_t at = 0, end = 0;
};

class Flow {
 public:
  Flow(const CodeSection& section, const CodeRange& function, const FlowFacts& facts)
      : code_(section.contents), function_(function), facts_(facts) {
    ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  }

  bool only_reads(std::span<const uint64_t> fields) {
    std::vector<uint64_t> comparisons;
    if (!find_makers(fields, comparisons)) return false;
    while (!work_.empty()) {
      const uint64_t at = work_.front();
      work_.pop_front();
      const auto instruction = decode(at);
      if (!instruction || !step(*instruction, holders_[at])) return false;
    }
    return std::ranges::all_of(comparisons, [&](uint64_t at) { return compares_own(at); });
  }

 private:
  std::optional<Instruction> decode(uint64_t at) const {
    Instruction result;
    if (at < function_.begin || at >= function_.end || function_.end > code_.size()) return std::nullopt;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder_, code_.data() + at, function_.end - at, &result.decoded,
                                             result.operands.data())))
      return std::nullopt;
    result.at = at;
    result.end = at + result.decoded.length;
    return result;
  }

  // Begins at each instruction that makes the address: `mov $x, %reg`, `lea x(%rip), %reg`, `add $x, %reg`. Those that
  // compare something with the constant's end are judged when all ways are known. fields: sorted.
  bool find_makers(std::span<const uint64_t> fields, std::vector<uint64_t>& comparisons) {
    uint64_t at = function_.begin;
    for (uint64_t field : fields) {
      auto instruction = decode(at);
      while (instruction && instruction->end <= field) instruction = decode(at = instruction->end);
      if (!instruction) return false;
      const auto& [decoded, operands, begin, end] = *instruction;
      const Registers made = operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER ? bits_of(operands[0].reg.value) : 0;
      const bool number = decoded.raw.imm[0].size != 0 && begin + decoded.raw.imm[0].offset == field;
      const bool place = decoded.raw.disp.size != 0 && begin + decoded.raw.disp.offset == field;
      if (decoded.mnemonic == ZYDIS_MNEMONIC_CMP && number && made != 0 && facts_.is_end(field))
        comparisons.push_back(begin);
      else if (made != 0 && operands[0].size >= 32 &&
               ((decoded.mnemonic == ZYDIS_MNEMONIC_LEA && place) ||
                ((decoded.mnemonic == ZYDIS_MNEMONIC_MOV || decoded.mnemonic == ZYDIS_MNEMONIC_ADD) && number)))
        reach(end, made);
      else
        return false;
    }
    return true;
  }

  // Whether the end is compared with an address of the constant.
  bool compares_own(uint64_t at) const {
    const auto instruction = decode(at);
    const auto holders = holders_.find(at);
    return instruction && holders != holders_.end() &&
           (holders->second & bits_of(instruction->operands[0].reg.value)) != 0;
  }

  // Execution may come to `at` with the address in these registers. Behind the function's end it doesn't: what stands
  // there last is a trap, or calls what doesn't return.
  void reach(uint64_t at, Registers holders) {
    if (holders == 0 || at == function_.end) return;
    const auto [known, fresh] = holders_.try_emplace(at, 0);
    if (!fresh && (known->second | holders) == known->second) return;
    known->second |= holders;
    work_.push_back(at);
  }

  // Follows one instruction. Returns false where the address gets out of sight.
  bool step(const Instruction& i, Registers holders) {
    const auto ways = facts_.ways(i.at, i.end);
    if (!ways) return false;
    for (uint64_t way : *ways) {
      if (way < function_.begin || way >= function_.end) return false;
      reach(way, holders);
    }
    switch (i.decoded.meta.category) {
      case ZYDIS_CATEGORY_CALL:
        return call(i, holders);
      case ZYDIS_CATEGORY_RET:
        return leaves_nothing(holders);
      case ZYDIS_CATEGORY_UNCOND_BR:
      case ZYDIS_CATEGORY_COND_BR:
        return branch(i, holders);
      case ZYDIS_CATEGORY_NOP:
      case ZYDIS_CATEGORY_WIDENOP:
        reach(i.end, holders);
        return true;
      default:
        return other(i, holders);
    }
  }

  // Whether a function may return with these.
  static bool leaves_nothing(Registers holders) { return (holders & (~clobbered | bit(rax) | bit(rdx))) == 0; }

  // Whom a direct branch leads to, where a relocation tells it.
  std::optional<std::string_view> callee(const Instruction& i) const {
    if (!i.decoded.raw.imm[0].is_relative) return std::nullopt;
    return facts_.target(i.at + i.decoded.raw.imm[0].offset);
  }

  bool call(const Instruction& i, Registers holders) {
    const auto returns = hand_over(callee(i).value_or(std::string_view{}), holders);
    if (!returns) return false;
    reach(i.end, (holders & ~clobbered) | (*returns ? bit(rax) : 0));
    return true;
  }

  // Whether what is called returns the address; nothing where it may keep it.
  std::optional<bool> hand_over(std::string_view name, Registers holders) const {
    bool returns = false;
    for (unsigned n = 0; n < arguments.size(); ++n) {
      if ((holders & bit(arguments[n])) == 0) continue;
      const Handling handling = name.empty() ? Handling::unknown : facts_.handling(name, n);
      if (handling == Handling::unknown) return std::nullopt;
      if (handling == Handling::returned && facts_.holds_addresses) return std::nullopt;
      if (handling == Handling::returned) returns = true;
    }
    return returns;
  }

  bool branch(const Instruction& i, Registers holders) {
    const bool always = i.decoded.meta.category == ZYDIS_CATEGORY_UNCOND_BR;
    if (const auto name = callee(i)) {
      if (!always) return false;
      if (*name == "__x86_return_thunk") return leaves_nothing(holders);
      return hand_over(*name, holders) == false && (holders & ~clobbered) == 0;
    }
    if (!i.decoded.raw.imm[0].is_relative) return false;
    const uint64_t target = i.end + static_cast<uint64_t>(i.decoded.raw.imm[0].value.s);
    if (target < function_.begin || target >= function_.end) return false;
    reach(target, holders);
    if (!always) reach(i.end, holders);
    return true;
  }

  // What the operands of an instruction are to the address.
  struct Part {
    Registers read = 0, written = 0, lost = 0;  // lost: hold something else afterwards
    bool stores = false, stores_there = false, loads = false, loads_there = false, out_of_sight = false;
  };

  static Part part_of(const Instruction& i, Registers holders) {
    Part part;
    for (unsigned n = 0; n < i.decoded.operand_count; ++n) {
      const ZydisDecodedOperand& operand = i.operands[n];
      const bool reads = (operand.actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
      const bool writes = (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
      if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
        const Registers by = bits_of(operand.mem.base) | bits_of(operand.mem.index);
        if (operand.mem.type == ZYDIS_MEMOP_TYPE_AGEN) {
          part.read |= by;
          continue;
        }
        part.stores |= writes;
        part.stores_there |= writes && (by & holders) != 0;
        part.loads |= reads;
        part.loads_there |= reads && (by & holders) != 0;
      } else if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) {
        const Registers r = bits_of(operand.reg.value);
        if (reads) part.read |= r;
        if (!writes) continue;
        part.written |= r;
        if (!reads && operand.size >= 32 && (operand.actions & ZYDIS_OPERAND_ACTION_CONDWRITE) == 0) part.lost |= r;
        if (r == 0 && operand.visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT) part.out_of_sight = true;
      }
    }
    return part;
  }

  bool other(const Instruction& i, Registers holders) {
    const Part part = part_of(i, holders);
    if (part.stores_there || (part.loads_there && facts_.holds_addresses)) return false;
    const Registers used = part.read & holders;
    if (used == 0 || clears(i)) {
      reach(i.end, holders & ~part.lost & ~(clears(i) ? part.written : 0));
      return true;
    }
    switch (kind_of(i.decoded.mnemonic)) {
      case Kind::compares:
        // with itself, a number, another place of the constant: not with an address from elsewhere
        if (part.read != used || part.loads) return false;
        reach(i.end, holders);
        return true;
      case Kind::moves:
        if (part.stores || part.out_of_sight || (part.written & bit(rsp)) != 0) return false;
        reach(i.end, (holders & ~part.lost) | part.written);
        return true;
      case Kind::copies_what_is_there:
        reach(i.end, holders);
        return true;
      case Kind::other:
        return false;
    }
    return false;
  }

  // `xor %eax, %eax`
  static bool clears(const Instruction& i) {
    return (i.decoded.mnemonic == ZYDIS_MNEMONIC_XOR || i.decoded.mnemonic == ZYDIS_MNEMONIC_SUB) &&
           i.operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER && i.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
           i.operands[0].reg.value == i.operands[1].reg.value;
  }

  enum class Kind : uint8_t { compares, moves, copies_what_is_there, other };

  // What an instruction does with an address in one of its registers.
  static Kind kind_of(ZydisMnemonic mnemonic) {
    switch (mnemonic) {
      case ZYDIS_MNEMONIC_CMP:
      case ZYDIS_MNEMONIC_TEST:
        return Kind::compares;
      case ZYDIS_MNEMONIC_MOV:
      case ZYDIS_MNEMONIC_LEA:
      case ZYDIS_MNEMONIC_ADD:
      case ZYDIS_MNEMONIC_SUB:
      case ZYDIS_MNEMONIC_INC:
      case ZYDIS_MNEMONIC_DEC:
      case ZYDIS_MNEMONIC_AND:
      case ZYDIS_MNEMONIC_SHL:
      case ZYDIS_MNEMONIC_SHR:
      case ZYDIS_MNEMONIC_SAR:
      case ZYDIS_MNEMONIC_CMOVB:
      case ZYDIS_MNEMONIC_CMOVBE:
      case ZYDIS_MNEMONIC_CMOVL:
      case ZYDIS_MNEMONIC_CMOVLE:
      case ZYDIS_MNEMONIC_CMOVNB:
      case ZYDIS_MNEMONIC_CMOVNBE:
      case ZYDIS_MNEMONIC_CMOVNL:
      case ZYDIS_MNEMONIC_CMOVNLE:
      case ZYDIS_MNEMONIC_CMOVNS:
      case ZYDIS_MNEMONIC_CMOVNZ:
      case ZYDIS_MNEMONIC_CMOVS:
      case ZYDIS_MNEMONIC_CMOVZ:
        return Kind::moves;
      case ZYDIS_MNEMONIC_MOVSB:
      case ZYDIS_MNEMONIC_MOVSW:
      case ZYDIS_MNEMONIC_MOVSD:
      case ZYDIS_MNEMONIC_MOVSQ:
      case ZYDIS_MNEMONIC_CMPSB:
        return Kind::copies_what_is_there;
      default:
        return Kind::other;
    }
  }

  std::span<const std::byte> code_;
  CodeRange function_;
  const FlowFacts& facts_;
  ZydisDecoder decoder_{};
  std::map<uint64_t, Registers> holders_;  // by instruction: what may hold the address when it begins
  std::deque<uint64_t> work_;
};

}  // namespace

bool only_reads_x86_64(const CodeSection& section, const CodeRange& function, std::span<const uint64_t> fields,
                       const FlowFacts& facts) {
  return Flow{section, function, facts}.only_reads(fields);
}

}  // namespace kpatch
