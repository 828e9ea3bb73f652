"""Files of weights that are published at download.pytorch.org/models: one line each.

member (* is DEFAULT), file, crop and resize in pixels, interpolation, parameters, top-1 and top-5 accuracy on
ImageNet, least size in pixels, PIXELS where not the usual ones.
"""

# Mean and deviation of the channels.
PIXELS = {"half": ((0.5,) * 3, (0.5,) * 3), "caffe": ((0.48235, 0.45882, 0.40784), (1 / 255,) * 3)}

TABLE = {
    "AlexNet_Weights": """
IMAGENET1K_V1* alexnet-owt-7be5be79.pth 224 256 bilinear 61100840 56.522 79.066 63
""",
    "DenseNet121_Weights": """
IMAGENET1K_V1* densenet121-a639ec97.pth 224 256 bilinear 7978856 74.434 91.972 29
""",
    "DenseNet161_Weights": """
IMAGENET1K_V1* densenet161-8d451a50.pth 224 256 bilinear 28681000 77.138 93.56 29
""",
    "DenseNet169_Weights": """
IMAGENET1K_V1* densenet169-b2777c0a.pth 224 256 bilinear 14149480 75.6 92.806 29
""",
    "DenseNet201_Weights": """
IMAGENET1K_V1* densenet201-c1103571.pth 224 256 bilinear 20013928 76.896 93.37 29
""",
    "EfficientNet_B0_Weights": """
IMAGENET1K_V1* efficientnet_b0_rwightman-7f5810bc.pth 224 256 bicubic 5288548 77.692 93.532 1
""",
    "EfficientNet_B1_Weights": """
IMAGENET1K_V1 efficientnet_b1_rwightman-bac287d4.pth 240 256 bicubic 7794184 78.642 94.186 1
IMAGENET1K_V2* efficientnet_b1-c27df63c.pth 240 255 bilinear 7794184 79.838 94.934 1
""",
    "EfficientNet_B2_Weights": """
IMAGENET1K_V1* efficientnet_b2_rwightman-c35c1473.pth 288 288 bicubic 9109994 80.608 95.31 1
""",
    "EfficientNet_B3_Weights": """
IMAGENET1K_V1* efficientnet_b3_rwightman-b3899882.pth 300 320 bicubic 12233232 82.008 96.054 1
""",
    "EfficientNet_B4_Weights": """
IMAGENET1K_V1* efficientnet_b4_rwightman-23ab8bcd.pth 380 384 bicubic 19341616 83.384 96.594 1
""",
    "EfficientNet_B5_Weights": """
IMAGENET1K_V1* efficientnet_b5_lukemelas-1a07897c.pth 456 456 bicubic 30389784 83.444 96.628 1
""",
    "EfficientNet_B6_Weights": """
IMAGENET1K_V1* efficientnet_b6_lukemelas-24a108a5.pth 528 528 bicubic 43040704 84.008 96.916 1
""",
    "EfficientNet_B7_Weights": """
IMAGENET1K_V1* efficientnet_b7_lukemelas-c5b4e57e.pth 600 600 bicubic 66347960 84.122 96.908 1
""",
    "EfficientNet_V2_L_Weights": """
IMAGENET1K_V1* efficientnet_v2_l-59c71312.pth 480 480 bicubic 118515272 85.808 97.788 33 half
""",
    "EfficientNet_V2_M_Weights": """
IMAGENET1K_V1* efficientnet_v2_m-dc08266a.pth 480 480 bilinear 54139356 85.112 97.156 33
""",
    "EfficientNet_V2_S_Weights": """
IMAGENET1K_V1* efficientnet_v2_s-dd5fe13b.pth 384 384 bilinear 21458488 84.228 96.878 33
""",
    "Inception_V3_Weights": """
IMAGENET1K_V1* inception_v3_google-0cc3c7bd.pth 299 342 bilinear 27161264 77.294 93.45 75
""",
    "MNASNet0_5_Weights": """
IMAGENET1K_V1* mnasnet0.5_top1_67.823-3ffadce67e.pth 224 256 bilinear 2218512 67.734 87.49 1
""",
    "MNASNet0_75_Weights": """
IMAGENET1K_V1* mnasnet0_75-7090bc5f.pth 224 232 bilinear 3170208 71.18 90.496 1
""",
    "MNASNet1_0_Weights": """
IMAGENET1K_V1* mnasnet1.0_top1_73.512-f206786ef8.pth 224 256 bilinear 4383312 73.456 91.51 1
""",
    "MNASNet1_3_Weights": """
IMAGENET1K_V1* mnasnet1_3-a4c69d6f.pth 224 232 bilinear 6282256 76.506 93.522 1
""",
    "MobileNet_V2_Weights": """
IMAGENET1K_V1 mobilenet_v2-b0353104.pth 224 256 bilinear 3504872 71.878 90.286 1
IMAGENET1K_V2* mobilenet_v2-7ebf99e0.pth 224 232 bilinear 3504872 72.154 90.822 1
""",
    "MobileNet_V3_Large_Weights": """
IMAGENET1K_V1 mobilenet_v3_large-8738ca79.pth 224 256 bilinear 5483032 74.042 91.34 1
IMAGENET1K_V2* mobilenet_v3_large-5c1a4163.pth 224 232 bilinear 5483032 75.274 92.566 1
""",
    "MobileNet_V3_Small_Weights": """
IMAGENET1K_V1* mobilenet_v3_small-047dcff4.pth 224 256 bilinear 2542856 67.668 87.402 1
""",
    "ResNet101_Weights": """
IMAGENET1K_V1 resnet101-63fe2227.pth 224 256 bilinear 44549160 77.374 93.546 1
IMAGENET1K_V2* resnet101-cd907fc2.pth 224 232 bilinear 44549160 81.886 95.78 1
""",
    "ResNet152_Weights": """
IMAGENET1K_V1 resnet152-394f9c45.pth 224 256 bilinear 60192808 78.312 94.046 1
IMAGENET1K_V2* resnet152-f82ba261.pth 224 232 bilinear 60192808 82.284 96.002 1
""",
    "ResNet18_Weights": """
IMAGENET1K_V1* resnet18-f37072fd.pth 224 256 bilinear 11689512 69.758 89.078 1
""",
    "ResNet34_Weights": """
IMAGENET1K_V1* resnet34-b627a593.pth 224 256 bilinear 21797672 73.314 91.42 1
""",
    "ResNet50_Weights": """
IMAGENET1K_V1 resnet50-0676ba61.pth 224 256 bilinear 25557032 76.13 92.862 1
IMAGENET1K_V2* resnet50-11ad3fa6.pth 224 232 bilinear 25557032 80.858 95.434 1
""",
    "ResNeXt101_32X8D_Weights": """
IMAGENET1K_V1 resnext101_32x8d-8ba56ff5.pth 224 256 bilinear 88791336 79.312 94.526 1
IMAGENET1K_V2* resnext101_32x8d-110c445d.pth 224 232 bilinear 88791336 82.834 96.228 1
""",
    "ResNeXt101_64X4D_Weights": """
IMAGENET1K_V1* resnext101_64x4d-173b62eb.pth 224 232 bilinear 83455272 83.246 96.454 1
""",
    "ResNeXt50_32X4D_Weights": """
IMAGENET1K_V1 resnext50_32x4d-7cdf4587.pth 224 256 bilinear 25028904 77.618 93.698 1
IMAGENET1K_V2* resnext50_32x4d-1a0047aa.pth 224 232 bilinear 25028904 81.198 95.34 1
""",
    "SqueezeNet1_0_Weights": """
IMAGENET1K_V1* squeezenet1_0-b66bff10.pth 224 256 bilinear 1248424 58.092 80.42 21
""",
    "SqueezeNet1_1_Weights": """
IMAGENET1K_V1* squeezenet1_1-b8a52dc0.pth 224 256 bilinear 1235496 58.178 80.624 17
""",
    "VGG11_Weights": """
IMAGENET1K_V1* vgg11-8a719046.pth 224 256 bilinear 132863336 69.02 88.628 32
""",
    "VGG11_BN_Weights": """
IMAGENET1K_V1* vgg11_bn-6002323d.pth 224 256 bilinear 132868840 70.37 89.81 32
""",
    "VGG13_Weights": """
IMAGENET1K_V1* vgg13-19584684.pth 224 256 bilinear 133047848 69.928 89.246 32
""",
    "VGG13_BN_Weights": """
IMAGENET1K_V1* vgg13_bn-abd245e5.pth 224 256 bilinear 133053736 71.586 90.374 32
""",
    "VGG16_Weights": """
IMAGENET1K_V1* vgg16-397923af.pth 224 256 bilinear 138357544 71.592 90.382 32
IMAGENET1K_FEATURES vgg16_features-amdegroot-88682ab5.pth 224 256 bilinear 138357544 nan nan 32 caffe
""",
    "VGG16_BN_Weights": """
IMAGENET1K_V1* vgg16_bn-6c64b313.pth 224 256 bilinear 138365992 73.36 91.516 32
""",
    "VGG19_Weights": """
IMAGENET1K_V1* vgg19-dcbb9e9d.pth 224 256 bilinear 143667240 72.376 90.876 32
""",
    "VGG19_BN_Weights": """
IMAGENET1K_V1* vgg19_bn-c79401a0.pth 224 256 bilinear 143678248 74.218 91.842 32
""",
    "ViT_B_16_Weights": """
IMAGENET1K_V1* vit_b_16-c867db91.pth 224 256 bilinear 86567656 81.072 95.318 224
IMAGENET1K_SWAG_E2E_V1 vit_b_16_swag-9ac1b537.pth 384 384 bicubic 86859496 85.304 97.65 384
IMAGENET1K_SWAG_LINEAR_V1 vit_b_16_lc_swag-4e70ced5.pth 224 224 bicubic 86567656 81.886 96.18 224
""",
    "ViT_B_32_Weights": """
IMAGENET1K_V1* vit_b_32-d86f8d99.pth 224 256 bilinear 88224232 75.912 92.466 224
""",
    "ViT_H_14_Weights": """
IMAGENET1K_SWAG_E2E_V1* vit_h_14_swag-80465313.pth 518 518 bicubic 633470440 88.552 98.694 518
IMAGENET1K_SWAG_LINEAR_V1 vit_h_14_lc_swag-c1eb923e.pth 224 224 bicubic 632045800 85.708 97.73 224
""",
    "ViT_L_16_Weights": """
IMAGENET1K_V1* vit_l_16-852ce7e3.pth 224 242 bilinear 304326632 79.662 94.638 224
IMAGENET1K_SWAG_E2E_V1 vit_l_16_swag-4f3808c9.pth 512 512 bicubic 305174504 88.064 98.512 512
IMAGENET1K_SWAG_LINEAR_V1 vit_l_16_lc_swag-4d563306.pth 224 224 bicubic 304326632 85.146 97.422 224
""",
    "ViT_L_32_Weights": """
IMAGENET1K_V1* vit_l_32-c7638314.pth 224 256 bilinear 306535400 76.972 93.07 224
""",
    "Wide_ResNet101_2_Weights": """
IMAGENET1K_V1 wide_resnet101_2-32ee1156.pth 224 256 bilinear 126886696 78.848 94.284 1
IMAGENET1K_V2* wide_resnet101_2-d733dc28.pth 224 232 bilinear 126886696 82.51 96.02 1
""",
    "Wide_ResNet50_2_Weights": """
IMAGENET1K_V1 wide_resnet50_2-95faca4d.pth 224 256 bilinear 68883240 78.468 94.086 1
IMAGENET1K_V2* wide_resnet50_2-9ba9bcbe.pth 224 232 bilinear 68883240 81.602 95.758 1
""",
}

# ImageNet's 1,000 classes, in the order of their WordNet numbers.
CATEGORIES = """
tench|goldfish|great white shark|tiger shark|hammerhead|electric ray|stingray|cock|hen|ostrich|brambling|
goldfinch|house finch|junco|indigo bunting|robin|bulbul|jay|magpie|chickadee|water ouzel|kite|bald eagle|
vulture|great grey owl|European fire salamander|common newt|eft|spotted salamander|axolotl|bullfrog|
tree frog|tailed frog|loggerhead|leatherback turtle|mud turtle|terrapin|box turtle|banded gecko|
common iguana|American chameleon|whiptail|agama|frilled lizard|alligator lizard|Gila monster|green lizard|
African chameleon|Komodo dragon|African crocodile|American alligator|triceratops|thunder snake|
ringneck snake|hognose snake|green snake|king snake|garter snake|water snake|vine snake|night snake|
boa constrictor|rock python|Indian cobra|green mamba|sea snake|horned viper|diamondback|sidewinder|
trilobite|harvestman|scorpion|black and gold garden spider|barn spider|garden spider|black widow|tarantula|
wolf spider|tick|centipede|black grouse|ptarmigan|ruffed grouse|prairie chicken|peacock|quail|partridge|
African grey|macaw|sulphur-crested cockatoo|lorikeet|coucal|bee eater|hornbill|hummingbird|jacamar|toucan|
drake|red-breasted merganser|goose|black swan|tusker|echidna|platypus|wallaby|koala|wombat|jellyfish|
sea anemone|brain coral|flatworm|nematode|conch|snail|slug|sea slug|chiton|chambered nautilus|
Dungeness crab|rock crab|fiddler crab|king crab|American lobster|spiny lobster|crayfish|hermit crab|isopod|
white stork|black stork|spoonbill|flamingo|little blue heron|American egret|bittern|crane bird|limpkin|
European gallinule|American coot|bustard|ruddy turnstone|red-backed sandpiper|redshank|dowitcher|
oystercatcher|pelican|king penguin|albatross|grey whale|killer whale|dugong|sea lion|Chihuahua|
Japanese spaniel|Maltese dog|Pekinese|Shih-Tzu|Blenheim spaniel|papillon|toy terrier|Rhodesian ridgeback|
Afghan hound|basset|beagle|bloodhound|bluetick|black-and-tan coonhound|Walker hound|English foxhound|
redbone|borzoi|Irish wolfhound|Italian greyhound|whippet|Ibizan hound|Norwegian elkhound|otterhound|Saluki|
Scottish deerhound|Weimaraner|Staffordshire bullterrier|American Staffordshire terrier|Bedlington terrier|
Border terrier|Kerry blue terrier|Irish terrier|Norfolk terrier|Norwich terrier|Yorkshire terrier|
wire-haired fox terrier|Lakeland terrier|Sealyham terrier|Airedale|cairn|Australian terrier|Dandie Dinmont|
Boston bull|miniature schnauzer|giant schnauzer|standard schnauzer|Scotch terrier|Tibetan terrier|
silky terrier|soft-coated wheaten terrier|West Highland white terrier|Lhasa|flat-coated retriever|
curly-coated retriever|golden retriever|Labrador retriever|Chesapeake Bay retriever|
German short-haired pointer|vizsla|English setter|Irish setter|Gordon setter|Brittany spaniel|clumber|
English springer|Welsh springer spaniel|cocker spaniel|Sussex spaniel|Irish water spaniel|kuvasz|schipperke|
groenendael|malinois|briard|kelpie|komondor|Old English sheepdog|Shetland sheepdog|collie|Border collie|
Bouvier des Flandres|Rottweiler|German shepherd|Doberman|miniature pinscher|Greater Swiss Mountain dog|
Bernese mountain dog|Appenzeller|EntleBucher|boxer|bull mastiff|Tibetan mastiff|French bulldog|Great Dane|
Saint Bernard|Eskimo dog|malamute|Siberian husky|dalmatian|affenpinscher|basenji|pug|Leonberg|Newfoundland|
Great Pyrenees|Samoyed|Pomeranian|chow|keeshond|Brabancon griffon|Pembroke|Cardigan|toy poodle|
miniature poodle|standard poodle|Mexican hairless|timber wolf|white wolf|red wolf|coyote|dingo|dhole|
African hunting dog|hyena|red fox|kit fox|Arctic fox|grey fox|tabby|tiger cat|Persian cat|Siamese cat|
Egyptian cat|cougar|lynx|leopard|snow leopard|jaguar|lion|tiger|cheetah|brown bear|American black bear|
ice bear|sloth bear|mongoose|meerkat|tiger beetle|ladybug|ground beetle|long-horned beetle|leaf beetle|
dung beetle|rhinoceros beetle|weevil|fly|bee|ant|grasshopper|cricket|walking stick|cockroach|mantis|cicada|
leafhopper|lacewing|dragonfly|damselfly|admiral|ringlet|monarch|cabbage butterfly|sulphur butterfly|
lycaenid|starfish|sea urchin|sea cucumber|wood rabbit|hare|Angora|hamster|porcupine|fox squirrel|marmot|
beaver|guinea pig|sorrel|zebra|hog|wild boar|warthog|hippopotamus|ox|water buffalo|bison|ram|bighorn|ibex|
hartebeest|impala|gazelle|Arabian camel|llama|weasel|mink|polecat|black-footed ferret|otter|skunk|badger|
armadillo|three-toed sloth|orangutan|gorilla|chimpanzee|gibbon|siamang|guenon|patas|baboon|macaque|langur|
colobus|proboscis monkey|marmoset|capuchin|howler monkey|titi|spider monkey|squirrel monkey|Madagascar cat|
indri|Indian elephant|African elephant|lesser panda|giant panda|barracouta|eel|coho|rock beauty|
anemone fish|sturgeon|gar|lionfish|puffer|abacus|abaya|academic gown|accordion|acoustic guitar|
aircraft carrier|airliner|airship|altar|ambulance|amphibian|analog clock|apiary|apron|ashcan|assault rifle|
backpack|bakery|balance beam|balloon|ballpoint|Band Aid|banjo|bannister|barbell|barber chair|barbershop|
barn|barometer|barrel|barrow|baseball|basketball|bassinet|bassoon|bathing cap|bath towel|bathtub|
beach wagon|beacon|beaker|bearskin|beer bottle|beer glass|bell cote|bib|bicycle-built-for-two|bikini|binder|
binoculars|birdhouse|boathouse|bobsled|bolo tie|bonnet|bookcase|bookshop|bottlecap|bow|bow tie|brass|
brassiere|breakwater|breastplate|broom|bucket|buckle|bulletproof vest|bullet train|butcher shop|cab|caldron|
candle|cannon|canoe|can opener|cardigan|car mirror|carousel|carpenter's kit|carton|car wheel|cash machine|
cassette|cassette player|castle|catamaran|CD player|cello|cellular telephone|chain|chainlink fence|
chain mail|chain saw|chest|chiffonier|chime|china cabinet|Christmas stocking|church|cinema|cleaver|
cliff dwelling|cloak|clog|cocktail shaker|coffee mug|coffeepot|coil|combination lock|computer keyboard|
confectionery|container ship|convertible|corkscrew|cornet|cowboy boot|cowboy hat|cradle|crane|crash helmet|
crate|crib|Crock Pot|croquet ball|crutch|cuirass|dam|desk|desktop computer|dial telephone|diaper|
digital clock|digital watch|dining table|dishrag|dishwasher|disk brake|dock|dogsled|dome|doormat|
drilling platform|drum|drumstick|dumbbell|Dutch oven|electric fan|electric guitar|electric locomotive|
entertainment center|envelope|espresso maker|face powder|feather boa|file|fireboat|fire engine|fire screen|
flagpole|flute|folding chair|football helmet|forklift|fountain|fountain pen|four-poster|freight car|
French horn|frying pan|fur coat|garbage truck|gasmask|gas pump|goblet|go-kart|golf ball|golfcart|gondola|
gong|gown|grand piano|greenhouse|grille|grocery store|guillotine|hair slide|hair spray|half track|hammer|
hamper|hand blower|hand-held computer|handkerchief|hard disc|harmonica|harp|harvester|hatchet|holster|
home theater|honeycomb|hook|hoopskirt|horizontal bar|horse cart|hourglass|iPod|iron|jack-o'-lantern|jean|
jeep|jersey|jigsaw puzzle|jinrikisha|joystick|kimono|knee pad|knot|lab coat|ladle|lampshade|laptop|
lawn mower|lens cap|letter opener|library|lifeboat|lighter|limousine|liner|lipstick|Loafer|lotion|
loudspeaker|loupe|lumbermill|magnetic compass|mailbag|mailbox|maillot|maillot tank suit|manhole cover|
maraca|marimba|mask|matchstick|maypole|maze|measuring cup|medicine chest|megalith|microphone|microwave|
military uniform|milk can|minibus|miniskirt|minivan|missile|mitten|mixing bowl|mobile home|Model T|modem|
monastery|monitor|moped|mortar|mortarboard|mosque|mosquito net|motor scooter|mountain bike|mountain tent|
mouse|mousetrap|moving van|muzzle|nail|neck brace|necklace|nipple|notebook|obelisk|oboe|ocarina|odometer|
oil filter|organ|oscilloscope|overskirt|oxcart|oxygen mask|packet|paddle|paddlewheel|padlock|paintbrush|
pajama|palace|panpipe|paper towel|parachute|parallel bars|park bench|parking meter|passenger car|patio|
pay-phone|pedestal|pencil box|pencil sharpener|perfume|Petri dish|photocopier|pick|pickelhaube|picket fence|
pickup|pier|piggy bank|pill bottle|pillow|ping-pong ball|pinwheel|pirate|pitcher|plane|planetarium|
plastic bag|plate rack|plow|plunger|Polaroid camera|pole|police van|poncho|pool table|pop bottle|pot|
potter's wheel|power drill|prayer rug|printer|prison|projectile|projector|puck|punching bag|purse|quill|
quilt|racer|racket|radiator|radio|radio telescope|rain barrel|recreational vehicle|reel|reflex camera|
refrigerator|remote control|restaurant|revolver|rifle|rocking chair|rotisserie|rubber eraser|rugby ball|
rule|running shoe|safe|safety pin|saltshaker|sandal|sarong|sax|scabbard|scale|school bus|schooner|
scoreboard|screen|screw|screwdriver|seat belt|sewing machine|shield|shoe shop|shoji|shopping basket|
shopping cart|shovel|shower cap|shower curtain|ski|ski mask|sleeping bag|slide rule|sliding door|slot|
snorkel|snowmobile|snowplow|soap dispenser|soccer ball|sock|solar dish|sombrero|soup bowl|space bar|
space heater|space shuttle|spatula|speedboat|spider web|spindle|sports car|spotlight|stage|steam locomotive|
steel arch bridge|steel drum|stethoscope|stole|stone wall|stopwatch|stove|strainer|streetcar|stretcher|
studio couch|stupa|submarine|suit|sundial|sunglass|sunglasses|sunscreen|suspension bridge|swab|sweatshirt|
swimming trunks|swing|switch|syringe|table lamp|tank|tape player|teapot|teddy|television|tennis ball|thatch|
theater curtain|thimble|thresher|throne|tile roof|toaster|tobacco shop|toilet seat|torch|totem pole|
tow truck|toyshop|tractor|trailer truck|tray|trench coat|tricycle|trimaran|tripod|triumphal arch|trolleybus|
trombone|tub|turnstile|typewriter keyboard|umbrella|unicycle|upright|vacuum|vase|vault|velvet|
vending machine|vestment|viaduct|violin|volleyball|waffle iron|wall clock|wallet|wardrobe|warplane|
washbasin|washer|water bottle|water jug|water tower|whiskey jug|whistle|wig|window screen|window shade|
Windsor tie|wine bottle|wing|wok|wooden spoon|wool|worm fence|wreck|yawl|yurt|web site|comic book|
crossword puzzle|street sign|traffic light|book jacket|menu|plate|guacamole|consomme|hot pot|trifle|
ice cream|ice lolly|French loaf|bagel|pretzel|cheeseburger|hotdog|mashed potato|head cabbage|broccoli|
cauliflower|zucchini|spaghetti squash|acorn squash|butternut squash|cucumber|artichoke|bell pepper|cardoon|
mushroom|Granny Smith|strawberry|orange|lemon|fig|pineapple|banana|jackfruit|custard apple|pomegranate|hay|
carbonara|chocolate sauce|dough|meat loaf|pizza|potpie|burrito|red wine|espresso|cup|eggnog|alp|bubble|
cliff|coral reef|geyser|lakeside|promontory|sandbar|seashore|valley|volcano|ballplayer|groom|scuba diver|
rapeseed|daisy|yellow lady's slipper|corn|acorn|hip|buckeye|coral fungus|agaric|gyromitra|stinkhorn|
earthstar|hen-of-the-woods|bolete|ear|toilet tissue
""".replace("\n", "").split("|")
