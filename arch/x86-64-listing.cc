// Instructions of x86-64 for a reader
//
//   e8 00 00 00 00         R_X86_64_PLT32  seq_printf - 4        call seq_printf
//   48 8b 05 00 00 00 00   R_X86_64_PC32   jiffies - 4           mov jiffies, %rax
//   48 c7 c6 00 00 00 00   R_X86_64_32S    .rodata.str1.1 + 7    mov $"%lu kB\n", %rsi
//
// Zydis writes the instruction; where it would print a field that a relocation fills, it prints what the field means.
// libcapstone, which writes the other architectures' (capstone-listing.cc), has no such place to step in: its finished
// text would have to be taken apart, and here two fields of one instruction may be relocated (mov $"text", jiffies). The
// differ and the proof need Zydis for lengths and operands anyway.
#include "arch/x86-64-listing.h"

#include <Zydis/Zydis.h>

#include <array>
#include <cstring>
#include <string>

namespace kpatch {
namespace {

// Zydis, with its own functions that ours stand before.
struct Formatter {
  ZydisFormatter zydis;
  ZydisFormatterFunc absolute, displacement, immediate;
};

struct Context {
  const Formatter& formatter;
  const ListingInput& input;
  uint64_t at;
};

const Context& own(const ZydisFormatterContext* context) { return *static_cast<const Context*>(context->user_data); }

// A ZyanString is a vector of characters with a NUL at its end; the library that has functions for it isn't otherwise
// needed.
ZyanStatus append(ZydisFormatterBuffer* buffer, const std::string& text) {
  ZyanString* string = nullptr;
  ZYAN_CHECK(ZydisFormatterBufferGetString(buffer, &string));
  ZyanVector& characters = string->vector;
  if (text.size() > characters.capacity - characters.size) return ZYAN_STATUS_INSUFFICIENT_BUFFER_SIZE;
  std::memcpy(static_cast<char*>(characters.data) + characters.size - 1, text.c_str(), text.size() + 1);
  characters.size += text.size();
  return ZYAN_STATUS_SUCCESS;
}

std::optional<std::string> meaning(const ZydisFormatterContext* context, uint64_t offset, uint64_t bits) {
  if (bits == 0) return std::nullopt;
  return own(context).input.meaning(own(context).at + offset);
}

// A displacement: alone (`mov x, %rax`), or beside registers (`mov x(,%rax,8), %rax`).
ZyanStatus print_displacement(const ZydisFormatter* formatter, ZydisFormatterBuffer* buffer,
                              ZydisFormatterContext* context) {
  const auto& raw = context->instruction->raw.disp;
  if (const auto text = meaning(context, raw.offset, raw.size)) return append(buffer, *text);
  return own(context).formatter.displacement(formatter, buffer, context);
}

// The operand's own field: an immediate is the first one or, with `enter` alone, the second.
std::optional<std::string> immediate(const ZydisFormatterContext* context) {
  const auto& raw = context->instruction->raw.imm[0];
  return meaning(context, raw.offset, raw.size);
}

ZyanStatus print_absolute(const ZydisFormatter* formatter, ZydisFormatterBuffer* buffer,
                          ZydisFormatterContext* context) {
  if (context->operand->type == ZYDIS_OPERAND_TYPE_MEMORY) {
    const auto& raw = context->instruction->raw.disp;
    if (const auto text = meaning(context, raw.offset, raw.size)) return append(buffer, *text);
  } else if (const auto text = immediate(context)) {
    return append(buffer, *text);
  } else if (context->operand->imm.is_relative) {
    return ZYAN_STATUS_SUCCESS;  // told by ListedInstruction::branch
  }
  return own(context).formatter.absolute(formatter, buffer, context);
}

ZyanStatus print_immediate(const ZydisFormatter* formatter, ZydisFormatterBuffer* buffer,
                           ZydisFormatterContext* context) {
  if (const auto text = immediate(context)) return append(buffer, "$" + *text);
  return own(context).formatter.immediate(formatter, buffer, context);
}

Formatter make_formatter() {
  Formatter formatter;
  ZydisFormatterInit(&formatter.zydis, ZYDIS_FORMATTER_STYLE_ATT);
  // It takes functions as pointers to objects, and gives the one that was there.
  const auto hook = [&](ZydisFormatterFunction which, ZydisFormatterFunc ours, ZydisFormatterFunc& theirs) {
    const void* callback = nullptr;
    static_assert(sizeof callback == sizeof ours);
    std::memcpy(&callback, &ours, sizeof ours);
    ZydisFormatterSetHook(&formatter.zydis, which, &callback);
    std::memcpy(&theirs, &callback, sizeof theirs);
  };
  hook(ZYDIS_FORMATTER_FUNC_PRINT_ADDRESS_ABS, print_absolute, formatter.absolute);
  hook(ZYDIS_FORMATTER_FUNC_PRINT_DISP, print_displacement, formatter.displacement);
  hook(ZYDIS_FORMATTER_FUNC_PRINT_IMM, print_immediate, formatter.immediate);
  const auto set = [&](ZydisFormatterProperty property, ZyanUPointer value) {
    ZydisFormatterSetProperty(&formatter.zydis, property, value);
  };
  set(ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE);
  set(ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE, ZYDIS_PADDING_DISABLED);
  set(ZYDIS_FORMATTER_PROP_DISP_PADDING, ZYDIS_PADDING_DISABLED);
  set(ZYDIS_FORMATTER_PROP_IMM_PADDING, ZYDIS_PADDING_DISABLED);
  return formatter;
}

}  // namespace

std::optional<ListedInstruction> list_x86_64(const ListingInput& input, uint64_t at) {
  static const Formatter formatter = make_formatter();
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisDecodedInstruction instruction;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
  if (at >= input.code.size() ||
      !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, input.code.data() + at, input.code.size() - at, &instruction,
                                           operands.data())))
    return std::nullopt;
  std::array<char, 1024> text{};
  Context context{formatter, input, at};
  if (!ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter.zydis, &instruction, operands.data(),
                                                    instruction.operand_count_visible, text.data(), text.size(), at,
                                                    &context)))
    return std::nullopt;
  ListedInstruction listed{text.data(), instruction.length, {}};
  const auto& relative = instruction.raw.imm[0];
  if (relative.is_relative && !input.meaning(at + relative.offset))
    listed.branch = at + instruction.length + static_cast<uint64_t>(relative.value.s);
  while (listed.text.ends_with(' ')) listed.text.pop_back();
  return listed;
}

}  // namespace kpatch
