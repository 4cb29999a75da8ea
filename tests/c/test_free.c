/* free.h: random ends and beginnings, compared with a model that looks at when each was freed. */
#include "free.h"

#include "check.h"

enum { SLABS = 5, STACKS = 8, STEPS = 100000 };

static struct pc_stack stacks[SLABS][STACKS];
static struct pc_free frees[SLABS], *ring;
static int freed[SLABS][STACKS]; /* in which step; 0: it is in use */

/* Of the slab where the last stack was freed, the one that was freed last. It need not be free any
   more itself: then the slab keeps its place as long as it has another. */
static int touched[SLABS];

static struct pc_stack *expect_next(void)
{
    int slab = -1, stack = -1;
    for (int i = 0; i < SLABS; i++)
        for (int k = 0; k < STACKS; k++)
            if (freed[i][k] && (slab < 0 || touched[i] > touched[slab]))
                slab = i;
    if (slab < 0)
        return NULL;
    for (int k = 0; k < STACKS; k++)
        if (freed[slab][k] && (stack < 0 || freed[slab][k] > freed[slab][stack]))
            stack = k;
    freed[slab][stack] = 0;
    return &stacks[slab][stack];
}

static void the_last_freed_is_next_and_then_its_neighbours(void)
{
    unsigned chance = 1;
    int taken = 0, none = 0;
    for (int step = 1; step <= STEPS; step++) {
        chance = chance * 1664525 + 1013904223;
        int slab = (int)(chance >> 8) % SLABS, stack = (int)(chance >> 16) % STACKS;
        int filling = step / 100 % 2; /* up to all free, down to none */
        if ((chance >> 28) % 4 < (filling ? 3 : 1)) {
            if (!freed[slab][stack])
                pc_free_add(&ring, &frees[slab], &stacks[slab][stack]);
            else
                continue;
            freed[slab][stack] = touched[slab] = step;
        } else {
            struct pc_stack *expected = expect_next();
            CHECK(pc_free_take(&ring) == expected);
            taken += expected != NULL;
            none += expected == NULL;
        }
    }
    CHECK(taken > STEPS / 10 && none > STEPS / 100);
}

int main(void)
{
    RUN(the_last_freed_is_next_and_then_its_neighbours);
    return check_report("free");
}
