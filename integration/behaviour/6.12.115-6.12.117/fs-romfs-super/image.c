// Writes a romfs image: a file, and a chain of hard links to it, of which "near" and "far" are two.
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define LINKS 70
#define FIRST 64

static unsigned char image[8192];

static void word(unsigned int at, uint32_t value)
{
	value = htonl(value);
	memcpy(image + at, &value, 4);
}

/* Header and name are 32 bytes: the next entry with its type, what the type needs, the size, a checksum. */
static void entry(unsigned int at, unsigned int next, unsigned int type, unsigned int special, const char *name)
{
	word(at, next | type);
	word(at + 4, special);
	strcpy((char *)image + at + 16, name);
}

int main(void)
{
	uint32_t sum = 0, i;
	char name[16];

	memcpy(image, "-rom1fs-rom", 8);
	word(8, sizeof(image));
	strcpy((char *)image + 16, "rom");
	entry(32, 0, 1 | 8, FIRST, "."); /* the root: its first entry */
	entry(FIRST, FIRST + 32, 2, 0, "file");
	for (i = 1; i <= LINKS; i++) {
		snprintf(name, sizeof(name), i == 10 ? "near" : i == LINKS ? "far" : "link%u", i);
		entry(FIRST + i * 32, i == LINKS ? 0 : FIRST + (i + 1) * 32, 0, FIRST + (i - 1) * 32, name);
	}
	/* The first 512 bytes add up to 0. */
	for (i = 0; i < 512; i += 4) {
		uint32_t value;

		memcpy(&value, image + i, 4);
		sum += ntohl(value);
	}
	word(12, -sum);
	return fwrite(image, 1, sizeof(image), stdout) != sizeof(image);
}
