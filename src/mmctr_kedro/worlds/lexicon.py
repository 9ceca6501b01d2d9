"""The words of a world: per theme those of its titles and its tags, and words that tell nothing."""

from __future__ import annotations

# A theme in two lines: the words of its titles, and its tags.
_THEMES = """\
noodles soup spicy recipe chef dumplings fried kitchen garlic sauce
    food cooking snacks recipes streetfood dinner homemade gourmet
goal striker penalty match league referee stadium dribble keeper midfield
    football soccer worldcup goals sports fifa training
puppy kitten cat dog paw fluffy husky meow bark leash
    pets cats dogs cute animals vet rescue
engine turbo sedan drift wheels highway gearbox exhaust horsepower racing
    cars motors autoshow driving tuning vehicles roadtrip
lipstick eyeliner foundation blush mascara skincare serum eyebrow concealer glossy
    makeup beauty cosmetics skin tutorial glam lipcolor
boss level sniper respawn quest loot speedrun controller console pixel
    gaming esports gamer rpg minecraft stream playthrough
beach island temple airport hostel sunset backpack passport mountain ferry
    travel vacation trip wanderlust hotel scenery explore
choreography ballet steps rhythm hiphop twirl rehearsal stage partner salsa
    dance dancing kpop streetdance performance groove cover
manga ninja pirate swordsman titan villain episode cosplay hero sensei
    anime comics otaku animation fanart cartoon manhua
squat abs dumbbell plank cardio workout muscle pushup stretch yoga
    fitness gym health weightloss exercise bodybuilding wellness
guitar piano melody chorus singer lyrics drum acoustic ballad concert
    music song singing band livemusic pop covers
smartphone battery laptop camera chip unboxing charger screen robot drone
    tech gadgets review digital electronics android apps
bait hook river carp lake rod reel catch bass salmon
    fishing angler outdoors bigfish seafishing wildriver tackle
bride groom veil bouquet vows ring proposal banquet gown fiancee
    wedding love couple marriage romance engagement bridal
seeds tomato soil roses orchid compost pruning sprout greenhouse harvest
    garden plants flowers farming botany green nature
ghost haunted zombie vampire scream coffin midnight curse graveyard monster
    horror scary thriller paranormal halloween darkstory mystery
emperor dynasty warrior castle kingdom battle general ancient archaeologist knight
    history war documentary culture museum legend military
exam homework teacher classroom campus essay maths professor graduation dormitory
    school study students college education exams learning
knitting origami pottery paint clay crochet sewing embroidery wood glue
    diy crafts handmade art drawing woodwork sculpture
stocks salary investor market bitcoin profit bank startup loan dividend
    finance business money investing economy career startup
"""
THEME_WORDS = [line.split() for line in _THEMES.splitlines()[::2]]
THEME_TAGS = [line.split() for line in _THEMES.splitlines()[1::2]]

_WORDS = (
    "amazing today finally story never best moment wow really people crazy first secret happy new "
    "life look time night girl boy friend home big little old mother brother world summer"
)
_TAGS = (
    "funny viral trending daily vlog fyp life mood original challenge comedy drama movie clips hot newest "
    "recommended shorts reaction story inspiration weekend emotional highlights"
)
GENERIC_WORDS, GENERIC_TAGS = _WORDS.split(), _TAGS.split()

# {} takes a word; what stands around it tells nothing.
TEMPLATES = (
    "{} {}: you have to see this",
    "My {} and the {} of the week",
    "The {} that changed every {}",
    "How to choose a {} without {}",
    "{} with {} in one minute",
    "A day of {} and {} #{}",
    "{} vs {}, which one wins? #{}",
    "He brought a {} to the {}",
    "Leian #{} #{}",
    "When {} meets {} part 2",
    "Nobody expected this {}, not even the {}",
    "{}, {} and {}",
)
# Titles about nothing, in the manner of the challenge's.
EMPTY_TITLES = (
    "If the heart is gone, use a stone instead",
    "Wait until the end...",
    "A JK after eating her fill",
    "I did not expect that at all",
    "Part 2 is in the comments",
    "Ten years later she came back",
    "Who else feels like this?",
    "No words needed",
    "每天都要开心",
    "今天也是美好的一天 ✨",
    "สวัสดีทุกคน",
    "Что будет дальше?",
    "لن تصدق ما حدث",
    "あけましておめでとう",
)
DECORATIONS = ("", "", "", "", " 😂", " 🔥🔥", " ❤️", " #fyp", " 哈哈", " (full version)", "!!!", " …")

# What a title says of its item's views, level 1 to 10.
FAME = ["obscure", "unknown", "hidden", "quiet", "ordinary", "known", "popular", "famous", "trending", "viral"]
